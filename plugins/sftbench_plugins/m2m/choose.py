"""Algorithm 2: cover every type of a pool with few rows, then fill up so that types occur equally often."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sftbench_plugins.m2m.lengths import Limits

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

Uniformity = Literal["rarest", "none"]
_ROUNDING = 1 + 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """Rows of a pool in the order in which they were taken; the first `num_cover` cover its types.

    `holders` int64 [K] says how many of them hold each type.
    """

    rows: npt.NDArray[np.int64]
    num_cover: int
    holders: npt.NDArray[np.int64]

    @property
    def num_types(self) -> int:
        return int((self.holders > 0).sum())


class _Basket:
    """What has been taken so far, and which strata still have room."""

    def __init__(self, limits: Limits) -> None:
        self.costs, self.strata = limits.costs.tolist(), limits.strata.tolist()
        self.room = (limits.room * _ROUNDING).tolist()
        self.open = [room > 0 for room in self.room]
        self.taken = np.zeros(len(self.costs), dtype=np.bool_)
        self.rows: list[int] = []

    def take(self, row: int) -> bool:
        """Take the row if there is room; the first row that does not fit closes its stratum."""
        stratum = self.strata[row]
        if not self.open[stratum] or self.taken[row]:
            return False
        self.room[stratum] -= self.costs[row]
        if self.room[stratum] < 0:
            self.open[stratum] = False
            return False
        self.taken[row] = True
        self.rows.append(row)
        return True

    @property
    def full(self) -> bool:
        return not any(self.open)


def choose(pool: csr_array, limits: Limits, *, uniformity: Uniformity | None, generator: np.random.Generator) -> Choice:
    """Cover, then fill until the limits are reached; `uniformity` None stops after the cover.

    `pool` is the incidence [p, K] of a pool. When the limits are reached before all types are covered,
    the choice is what greedy maximum coverage gives for this budget.
    """
    by_type = pool.tocsc()
    basket = _Basket(limits)
    _cover(pool, by_type, limits, basket, generator)
    num_cover = len(basket.rows)
    if uniformity == "rarest":
        _fill_rarest(pool, by_type, basket, generator)
    if uniformity is not None:
        for row in generator.permutation(pool.shape[0]).tolist():
            if basket.full:
                break
            basket.take(row)
    rows = np.asarray(basket.rows, dtype=np.int64)
    return Choice(rows=rows, num_cover=num_cover, holders=np.bincount(pool[rows].indices, minlength=pool.shape[1]))


def _cover(
    pool: csr_array, by_type: csc_array, limits: Limits, basket: _Basket, generator: np.random.Generator
) -> None:
    """Greedy set cover: always the row with most types still missing, per unit of cost; ties by lot.

    Gains only shrink, so a heap entry that is too high is put back with the gain of now.
    """
    gains = np.diff(pool.indptr)
    costs = limits.costs
    missing = np.diff(by_type.indptr) > 0
    lots = generator.permutation(len(gains))
    some = np.flatnonzero(gains)
    heap = list(zip((-gains[some] / costs[some]).tolist(), lots[some].tolist(), some.tolist(), strict=True))
    heapq.heapify(heap)
    while heap and not basket.full:
        value, lot, row = heap[0]
        now = -float(gains[row]) / float(costs[row])
        if now != value and now < 0:
            heapq.heapreplace(heap, (now, lot, row))
            continue
        heapq.heappop(heap)
        if now == 0 or not basket.take(row):
            continue
        held = pool.indices[pool.indptr[row] : pool.indptr[row + 1]]
        new = held[missing[held]]
        missing[new] = False
        for kind in new.tolist():
            gains[by_type.indices[by_type.indptr[kind] : by_type.indptr[kind + 1]]] -= 1


def _fill_rarest(pool: csr_array, by_type: csc_array, basket: _Basket, generator: np.random.Generator) -> None:
    """Always a random row that holds the type which is rarest among the rows taken; ties by lot."""
    counts = np.bincount(pool[np.asarray(basket.rows, dtype=np.int64)].indices, minlength=pool.shape[1])
    heap = [(count, generator.random(), kind) for kind, count in enumerate(counts.tolist()) if count]
    heapq.heapify(heap)
    rest: dict[int, Iterator[int]] = {}
    while heap and not basket.full:
        count, lot, kind = heap[0]
        if counts[kind] != count:
            heapq.heapreplace(heap, (int(counts[kind]), lot, kind))
            continue
        if kind not in rest:
            rest[kind] = _shuffled(by_type.indices[by_type.indptr[kind] : by_type.indptr[kind + 1]], generator)
        row = next((row for row in rest[kind] if basket.take(row)), None)
        if row is None:
            heapq.heappop(heap)
            continue
        counts[pool.indices[pool.indptr[row] : pool.indptr[row + 1]]] += 1
        heapq.heapreplace(heap, (int(counts[kind]), generator.random(), kind))


def _shuffled(rows: npt.NDArray[np.int32], generator: np.random.Generator) -> Iterator[int]:
    return map(int, generator.permutation(rows))
