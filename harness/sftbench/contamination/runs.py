"""Items found in rows by words: runs that both have, and prompts that are the same, in one reading of a pool."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

from sftbench.contamination.kinds import Ints, Kinds, complete, kinds_of
from sftbench.pools.words import NUM_WORDS, turns_of, words_of
from sftbench.rooms import Component, Row

FEWEST_WORDS = 8
"""A turn with fewer words than a run is one run, if it has as many as this; Brown et al. (2020, appendix C) go down to
eight words too, as fewer are often a phrase."""
MOST_ITEMS = 10
"""A run that more items have than this is the wording of a benchmark, and tells of no item that it was copied."""
_ROLES = {"instruction": ("user",), "response": ("assistant",), "both": ("user", "assistant")}


@dataclass(frozen=True, kw_only=True, eq=False)
class RunHits:
    """Rows that have runs of items, each pair once, by row: `rows`, `items`, how many different `runs` of the item
    stand in the row [P], and whether its prompt is that of the item, word by word (`is_whole` [P])."""

    rows: Ints
    items: Ints
    runs: Ints
    is_whole: npt.NDArray[np.bool_]


class ItemsWanted:
    """The items that are looked for. They are held in memory: about 50 bytes a word.

    What counts of an item: every run of `num_words` words within a turn; a turn of the user with fewer words, but at
    least `FEWEST_WORDS`, as a whole, wherever it stands; and its prompt as a whole, where a turn of the user (or all
    that comes before the response) has the same words and no others.
    """

    def __init__(
        self, items: Iterable[Row], *, num_words: int = NUM_WORDS, component: Component = "both",
        most_items: int = MOST_ITEMS,
    ) -> None:  # fmt: skip
        self.num_words, self.component = num_words, component
        self._ids: dict[str, int] = {}
        self._prompts: dict[bytes, list[int]] = {}
        tokens, owners = array("q"), array("q")
        short: dict[int, list[int]] = {}
        self.num_items = 0
        for item in items:
            self._note(item, tokens, owners, short)
            self.num_items += 1
        self._prompt_lengths = {len(key) // 8 for key in self._prompts}
        self._most_items = most_items
        self._kinds = list(self._all_kinds(np.array(tokens, dtype=np.int64), np.array(owners, dtype=np.int64), short))
        self.num_runs: Ints = np.zeros(self.num_items, dtype=np.int64)
        """How many different runs of each item count [I]."""
        for kinds in self._kinds:
            self.num_runs += np.bincount(kinds.items, minlength=self.num_items)

    def _note(self, item: Row, tokens: array[int], owners: array[int], short: dict[int, list[int]]) -> None:
        for role, content in turns_of(item):
            if role not in _ROLES[self.component]:
                continue
            words = words_of(content)
            if role == "user" and FEWEST_WORDS <= len(words) < self.num_words:
                short.setdefault(len(words), []).append(len(tokens))
            ids = [self._ids.setdefault(word, len(self._ids)) for word in words]
            tokens.extend([*ids, -1])
            owners.extend(repeat(self.num_items, len(ids) + 1))
        asked = words_of("\n".join(content for role, content in turns_of(item) if role == "user"))
        if asked and self.component != "response":
            key = array("q", [self._ids.setdefault(word, len(self._ids)) for word in asked]).tobytes()
            self._prompts.setdefault(key, []).append(self.num_items)

    def _all_kinds(self, tokens: Ints, owners: Ints, short: dict[int, list[int]]) -> Iterator[Kinds]:
        places = {length: np.array(at, dtype=np.int64) for length, at in sorted(short.items())}
        places[self.num_words] = complete(tokens, self.num_words)
        for length, at in places.items():
            if len(at):
                yield kinds_of(tokens, owners, at, length, most_items=self._most_items)

    def find(self, rows: Sequence[Row], *, first: int = 0) -> RunHits:
        """What of the items stands in some rows, the first of which is row `first` of its pool."""
        tokens, places, wholes = array("q"), array("q"), list[tuple[int, int]]()
        for number, row in enumerate(rows):
            self._read(row, number, tokens, places, wholes)
        words, owners = np.array(tokens, dtype=np.int64), np.array(places, dtype=np.int64)
        coded = [np.empty(0, dtype=np.int64)]
        for kinds in self._kinds:
            at, kind = kinds.find(words)
            coded.append(kinds.of_rows(owners[at], kind, self.num_items))
        pairs, runs = np.unique(np.concatenate(coded), return_counts=True)
        same = np.unique(np.array([row * self.num_items + item for row, item in wholes], dtype=np.int64))
        every = np.union1d(pairs, same)
        counted = np.zeros(len(every), dtype=np.int64)
        counted[np.searchsorted(every, pairs)] = runs
        found_rows, items = np.divmod(every, max(self.num_items, 1))
        return RunHits(rows=found_rows + first, items=items, runs=counted, is_whole=np.isin(every, same))

    def _read(
        self, row: Row, number: int, tokens: array[int], places: array[int], wholes: list[tuple[int, int]]
    ) -> None:
        asked = array("q")
        num_asked = 0
        for role, content in turns_of(row):
            if role not in _ROLES[self.component]:
                continue
            ids = array("q", map(self._ids.get, words_of(content), repeat(-1)))
            if role == "user":
                asked.extend(ids)
                num_asked += 1
                self._note_whole(ids, number, wholes)
            tokens.extend(ids)
            tokens.append(-1)
            places.extend(repeat(number, len(ids) + 1))
        if num_asked > 1:
            self._note_whole(asked, number, wholes)

    def _note_whole(self, ids: array[int], number: int, wholes: list[tuple[int, int]]) -> None:
        if len(ids) in self._prompt_lengths:
            items = self._prompts.get(ids.tobytes(), ())
            wholes.extend((number, item) for item in items if len(items) <= self._most_items)
