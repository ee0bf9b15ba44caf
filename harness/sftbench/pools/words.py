"""Texts as words, the way in which rows are compared with held-out rows: script-aware, in lower case."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sftbench.rooms import Row

NUM_WORDS = 13
"""As many in a row as is usual for telling that a text was in a test set."""
_UNSPACED = (
    # Thai and Lao, Myanmar, Khmer, Tai scripts, Balinese, Javanese, kana, Han, Yi, and their extensions.
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f"
    "\ua980-\ua9ff\uaa60-\uaadf"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ua000-\ua4cf"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Scripts that put no blanks between words: each character is one here, as a whole sentence would be otherwise."""
_WORD = re.compile(rf"(?=\w)[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; in scripts that put no blanks between words, each character is one."""
    # Most text is ASCII, where the short pattern finds the same words three times as fast.
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text.lower())


def word_places(text: str) -> list[tuple[int, int]]:
    """Where each word of `words_of` stands in the text as it is written: start and end of its characters."""
    lowered = text.lower()
    places = [match.span() for match in _WORD.finditer(lowered)]
    if len(lowered) == len(text):
        return places
    # Some letters are several in lower case.
    origin = [place for place, letter in enumerate(text) for _ in letter.lower()]
    return [(origin[start], origin[end - 1] + 1) for start, end in places]


def turns_of(row: Row) -> Iterator[tuple[str, str]]:
    """Role and content of the turns that are compared: what a system prompt says, all rows of a source may share."""
    return ((message.role, message.content) for message in row.messages if message.role != "system")
