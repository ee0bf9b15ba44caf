"""New rows that repeat a held-out row: thirteen words in a row, or all words of a prompt that has fewer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sftbench.pools.split import text_hash
from sftbench.pools.words import NUM_WORDS, turns_of, words_of
from sftbench.rooms import Pool, Row

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
    return (_words(content) for _, content in turns_of(row))


def _words(text: str) -> _Words:
    return tuple(words_of(text))


def _runs(words: Sequence[str]) -> Iterator[_Words]:
    return (tuple(words[at : at + NUM_WORDS]) for at in range(len(words) - NUM_WORDS + 1))
