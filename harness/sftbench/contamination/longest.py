"""The longest run of words that two texts have in common, and where it stands in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftbench.pools.words import word_places, words_of

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class CommonRun:
    """`num_words` in a row; `first` and `second` are the characters of it in the two texts."""

    num_words: int
    first: Span
    second: Span


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> CommonRun:
    """The longest run of words within a turn of both, the earliest in the first text if there are several.

    Where it stands is told in the turns joined by a line break. None in common is a run of 0 words.
    """
    start, other, length = _longest(_words(first, end=-1), _words(second, end=-2))
    if not length:
        return CommonRun(num_words=0, first=(0, 0), second=(0, 0))
    places, others = _places(first), _places(second)
    return CommonRun(
        num_words=length,
        first=(places[start][0], places[start + length - 1][1]),
        second=(others[other][0], others[other + length - 1][1]),
    )


def _words(turns: Sequence[str], *, end: int) -> list[str | int]:
    """The words of all turns, with `end` after each."""
    words: list[str | int] = []
    for turn in turns:
        words += [*words_of(turn), end]
    return words


def _places(turns: Sequence[str]) -> list[Span]:
    places: list[Span] = []
    start = 0
    for turn in turns:
        places += [(start + first, start + last) for first, last in word_places(turn)]
        start += len(turn) + 1
        places.append((start - 1, start - 1))
    return places


def _longest(first: Sequence[str | int], second: Sequence[str | int]) -> tuple[int, int, int]:
    """Where the longest run stands in both, and its length; by the table of common suffixes, a row at a time."""
    ids: dict[str | int, int] = {}
    one = [ids.setdefault(word, len(ids)) for word in first]
    other = np.array([ids.get(word, -1) for word in second], dtype=np.int64)
    best = (0, 0, 0)
    ending = np.zeros(len(other) + 1, dtype=np.int64)
    for place, word in enumerate(one):
        ending[1:] = np.where(other == word, ending[:-1] + 1, 0)
        end = int(ending.argmax())
        length = int(ending[end])
        if length > best[2]:
            best = (place - length + 1, end - length, length)
    return best
