"""New rows that repeat a held-out row: thirteen words in a row, or all words of a prompt that has fewer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sftbench.pools.split import text_hash
from sftbench.rooms import Pool, Row

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
_Words = tuple[str, ...]


@dataclass(kw_only=True)
class Screen:
    """Lets rows through unless they repeat a held-out row (None: nothing is held out); rows of the pool always pass.

    Compared are turns of user and assistant, by their words in lower case, by their characters in scripts that put no
    blanks between words. What the pool holds every method may
    train on, and the pool stands apart from the held-out rows already.
    """

    pool: Pool
    heldout: Pool | None
    num_passed: int = 0
    num_new: int = 0
    num_repeats: int = 0

    def passing(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows that may be trained on; the counts tell how many those were, once all are read."""
        known = {text_hash(row) for row in self.pool}
        runs, prompts = set[_Words](), set[_Words]()
        for row in self.heldout or ():
            for turn in _turns(row):
                runs.update(_runs(turn))
            asked = _words(row.prompt)
            if 0 < len(asked) < NUM_WORDS:
                prompts.add(asked)
        for row in rows:
            is_new = text_hash(row) not in known
            if is_new and self._repeats(row, runs, prompts):
                self.num_repeats += 1
                continue
            self.num_passed += 1
            self.num_new += is_new
            yield row

    def _repeats(self, row: Row, runs: set[_Words], prompts: set[_Words]) -> bool:
        asked = [_words(message.content) for message in row.messages if message.role == "user"]
        if any(words in prompts for words in (*asked, _words(row.prompt))):
            return True
        return any(run in runs for turn in _turns(row) for run in _runs(turn))


def _turns(row: Row) -> Iterator[_Words]:
    return (_words(message.content) for message in row.messages if message.role != "system")


def _words(text: str) -> _Words:
    return tuple(_WORD.findall(text.lower()))


def _runs(words: Sequence[str]) -> Iterator[_Words]:
    return (tuple(words[at : at + NUM_WORDS]) for at in range(len(words) - NUM_WORDS + 1))
