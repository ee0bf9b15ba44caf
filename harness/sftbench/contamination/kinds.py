"""All runs of so many words that items have, in a form in which runs of a pool are looked up: hashed, then compared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kinds:
    """The different runs of `length` words, by rising hash.

    `tokens` are the ids of all words of all items, a -1 between turns; `starts` [K] says where each kind first stands
    in them. Kind k stands in the items `items[offsets[k]:offsets[k + 1]]`; in none if it stands in too many.
    """

    length: int
    tokens: Ints
    multiplier: int
    hashes: Hashes
    starts: Ints
    items: Ints
    offsets: Ints

    def find(self, tokens: Ints) -> tuple[Ints, Ints]:
        """Where in other words (-1 for those that no item has) a run begins that an item has, and its kind."""
        at = complete(tokens, self.length)
        if not len(at) or not len(self.hashes):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        hashes = _hashes(tokens, at, self.length, self.multiplier)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        equal = self.hashes[place] == hashes
        at, place = at[equal], place[equal]
        # Another run of words may have the same hash.
        alike = _same(tokens, at, self.tokens, self.starts[place], self.length)
        return at[alike], place[alike]

    def of_rows(self, rows: Ints, kinds: Ints, num_items: int) -> Ints:
        """Rows and kinds found in them, as one number `row * num_items + item` for each kind that counts, unsorted."""
        pairs = np.unique(rows * len(self.hashes) + kinds) if len(rows) else np.empty(0, np.int64)
        rows, kinds = np.divmod(pairs, max(len(self.hashes), 1))
        sizes = self.offsets[kinds + 1] - self.offsets[kinds]
        begins = np.repeat(self.offsets[kinds] - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
        items = self.items[begins + np.arange(int(sizes.sum()))] if len(sizes) else np.empty(0, np.int64)
        return np.repeat(rows, sizes) * num_items + items


def kinds_of(tokens: Ints, item_of: Ints, at: Ints, length: int, *, most_items: int) -> Kinds:
    """The runs that begin `at` these places; `item_of` [T] tells whose each word is.

    A run that stands in more than `most_items` items is left out: it is what the items of a benchmark share.
    """
    for attempt in count():
        multiplier = _ODD[attempt % len(_ODD)] + 2 * attempt
        hashes = _hashes(tokens, at, length, multiplier)
        order = np.argsort(hashes, kind="stable")
        found, first, kind = np.unique(hashes[order], return_index=True, return_inverse=True)
        starts = at[order][first]
        if _same(tokens, at[order], tokens, starts[kind], length).all():
            break
    num_items = int(item_of.max(initial=0)) + 1
    pairs = np.unique(kind * num_items + item_of[at[order]]) if len(at) else np.empty(0, np.int64)
    kinds, items = np.divmod(pairs, num_items)
    sizes = np.bincount(kinds, minlength=len(found))
    kept = (sizes <= most_items)[kinds] if len(kinds) else np.empty(0, np.bool_)
    sizes = np.where(sizes <= most_items, sizes, 0)
    return Kinds(
        length=length, tokens=tokens, multiplier=multiplier, hashes=found, starts=starts, items=items[kept],
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )  # fmt: skip


def complete(tokens: Ints, length: int) -> Ints:
    """Where `length` words begin without a -1 among them."""
    if len(tokens) < length:
        return np.empty(0, np.int64)
    gaps = np.concatenate([[0], np.cumsum(tokens < 0)])
    return np.flatnonzero(gaps[length:] == gaps[:-length])


def _hashes(tokens: Ints, at: Ints, length: int, multiplier: int) -> Hashes:
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(_ODD[0])
    mixed ^= mixed >> np.uint64(29)
    result = np.zeros(len(at), dtype=np.uint64)
    for place in range(length):
        result *= np.uint64(multiplier)
        result += mixed[at + place]
    return result


def _same(tokens: Ints, at: Ints, others: Ints, starts: Ints, length: int) -> npt.NDArray[np.bool_]:
    """Which of the runs `at` have the words of the runs at `starts`."""
    same = np.ones(len(at), dtype=np.bool_)
    for place in range(length):
        same &= tokens[at + place] == others[starts + place]
    return same
