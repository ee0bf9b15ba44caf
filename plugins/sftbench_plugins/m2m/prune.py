"""Algorithm 1: take rows away so that the number of types falls fast while as many rows as possible stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sftbench_plugins.m2m.lengths import Limits, first_within

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PruneKey = Literal["exclusive", "distinct"]
_COMPACT_BELOW = 0.87
"""Rows that are gone are dropped from the matrix once fewer than this share of it is left."""

_DECIMALS = 12
"""Sums of the same fractions in another order must still be ties."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pruned:
    """One descent through all levels: `order` int64 [r], rows in the order in which they went, and
    `types_after` int64 [r + 1], the number of types left after 0, 1, ..., r removals."""

    num_rows: int
    order: npt.NDArray[np.int64]
    types_after: npt.NDArray[np.int64]

    def position(self, num_types: int) -> int:
        """The fewest removals after which at most `num_types` are left."""
        return int(np.searchsorted(-self.types_after, -num_types, side="left"))

    def rows(self, position: int) -> npt.NDArray[np.int64]:
        """The rows left after so many removals, ascending. Later pools are parts of earlier ones."""
        left = np.ones(self.num_rows, dtype=np.bool_)
        left[self.order[:position]] = False
        return np.flatnonzero(left)


def prune(matrix: csr_array, limits: Limits, *, key: PruneKey = "exclusive", batch: int = 256) -> Pruned:
    """Remove rows until what is left costs no more than the limits' room allows to take.

    `matrix` is the incidence [n, K]. `exclusive`: next goes the row with most types that no other row
    has; among equals the one whose types are rarest (sum of 1 / rows that hold the type), then the one
    with most types, then the first. `distinct`: the row with most types. Keys are made anew after
    every removal of 1 / `batch` of the rows left (one row, when fewer than 2 * `batch` are left), so that
    the work grows with the number of entries. Every stratum keeps enough rows to fill its room.
    """
    state = _Descent(matrix, limits)
    order: list[npt.NDArray[np.int64]] = []
    types_after = [np.array([state.num_types])]
    while len(going := state.next(key, max(1, state.num_left // batch))):
        order.append(going)
        types_after.append(types_after[-1][-1] - np.cumsum(state.remove(going)))
    rows = np.concatenate([np.empty(0, dtype=np.int64), *order])
    return Pruned(num_rows=matrix.shape[0], order=rows, types_after=np.concatenate(types_after))


class _Descent:
    """The rows still there, with what the keys are made from.

    `num_holders` [K] counts the rows that hold a type and `holders_xor` [K] is the exclusive-or of
    their numbers: when one holder is left, it is its number, and no list has to be searched.
    """

    def __init__(self, matrix: csr_array, limits: Limits) -> None:
        num_rows, num_types = matrix.shape
        self.matrix, self.limits = matrix, limits
        self.sizes = np.diff(matrix.indptr)
        self.num_holders = np.bincount(matrix.indices, minlength=num_types)
        self.holders_xor = np.zeros(num_types, dtype=np.int64)
        np.bitwise_xor.at(self.holders_xor, matrix.indices, np.repeat(np.arange(num_rows), self.sizes))
        self.exclusive = np.bincount(self.holders_xor[self.num_holders == 1], minlength=num_rows)
        self.spare = np.bincount(limits.strata, weights=limits.costs, minlength=len(limits.room)) - limits.room
        self.closed = self.spare <= 0
        self.alive = np.ones(num_rows, dtype=np.bool_)
        self.present, self.small = np.arange(num_rows), matrix.astype(np.float64)
        self.num_left, self.num_types = num_rows, int((self.num_holders > 0).sum())

    def next(self, key: PruneKey, num_wanted: int) -> npt.NDArray[np.int64]:
        """The next rows to go, in order; none when every stratum is down to its room."""
        while True:
            candidates = self._foremost(key, num_wanted)
            strata = self.limits.strata[candidates]
            fits = first_within(self.limits.costs[candidates], strata, self.spare)
            self.closed[strata[~fits]] = True
            if fits.any() or not len(candidates):
                return candidates[fits]

    def _foremost(self, key: PruneKey, num_wanted: int) -> npt.NDArray[np.int64]:
        removable = self.alive[self.present] & ~self.closed[self.limits.strata[self.present]]
        if removable.mean() < _COMPACT_BELOW:
            self.present, self.small = self.present[removable], self.small[np.flatnonzero(removable)]
            removable = np.ones(len(self.present), dtype=np.bool_)
        if not len(self.present):
            return self.present
        sizes, exclusive = self.sizes[self.present], self.exclusive[self.present]
        rarity = np.round(self.small @ (1 / np.maximum(self.num_holders, 1)), _DECIMALS)
        rank = exclusive * (1.0 + self.sizes.max()) + rarity if key == "exclusive" else sizes.astype(np.float64)
        rank[~removable] = -1
        num_wanted = min(num_wanted, len(rank))
        foremost = np.flatnonzero(rank >= max(0, np.partition(rank, -num_wanted)[-num_wanted]))
        keys = (-sizes, -rarity, -exclusive) if key == "exclusive" else (-sizes,)
        sequence = np.lexsort([self.present[foremost], *(each[foremost] for each in keys)])
        return self.present[foremost[sequence[:num_wanted]]]

    def remove(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Take rows away; returns how many types went with each."""
        gone = self.matrix[rows]
        place = np.repeat(np.arange(len(rows)), np.diff(gone.indptr))
        np.subtract.at(self.num_holders, gone.indices, 1)
        np.bitwise_xor.at(self.holders_xor, gone.indices, rows[place])
        last_place = np.zeros(len(self.num_holders), dtype=np.int64)
        np.maximum.at(last_place, gone.indices, place)
        touched = np.unique(gone.indices)
        lost = np.bincount(last_place[touched[self.num_holders[touched] == 0]], minlength=len(rows))
        np.add.at(self.exclusive, self.holders_xor[touched[self.num_holders[touched] == 1]], 1)
        np.subtract.at(self.spare, self.limits.strata[rows], self.limits.costs[rows])
        self.alive[rows] = False
        self.num_left -= len(rows)
        self.num_types -= int(lost.sum())
        return lost
