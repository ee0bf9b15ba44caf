"""The two stages of the hierarchical selection, as pure functions over numbers per row."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sftbench import Allowance

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


def eligible(mean_sifd: FloatArray, mean_ifd: FloatArray) -> IndexArray:
    """Positions of rows that may compete: both means finite, and the ordinary noisy IFD strictly below 1."""
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(np.isfinite(mean_sifd) & np.isfinite(mean_ifd) & (mean_ifd < 1))


def best_by_mean(mean_sifd: FloatArray, candidates: IndexArray) -> IndexArray:
    """The candidates by falling mean S-IFD; among equals the earlier row first."""
    return candidates[np.argsort(-mean_sifd[candidates], kind="stable")]


def heap_survivors(mean_sifd: FloatArray, candidates: Sequence[int] | IndexArray, *, size: int) -> IndexArray:
    """What a min-heap of (mean S-IFD, index) of `size` holds at the end, as in the authors' code; best first.

    A newcomer must be strictly above the heap's minimum, and the lowest index leaves first among equal
    minima: which of several equal rows stays at the boundary is neither first-come nor last-come.
    """
    heap: list[tuple[float, int]] = []
    for index in candidates:
        entry = (float(mean_sifd[index]), int(index))
        if len(heap) < size:
            heapq.heappush(heap, entry)
        elif heap and entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)
    ranked = sorted(heap, key=lambda entry: (-entry[0], entry[1]))
    return np.array([index for _, index in ranked], dtype=np.int64)


def steadiest(std_sifd: FloatArray, survivors: IndexArray) -> IndexArray:
    """Survivors by rising standard deviation, equals in the order given; those without one are dropped."""
    known = survivors[~np.isnan(std_sifd[survivors])]
    return known[np.argsort(std_sifd[known], kind="stable")]


def num_within(costs: FloatArray, *, cap: float) -> int:
    """How many of the first rows fit, by their costs in order, into `cap`."""
    return int(np.searchsorted(np.cumsum(costs), cap * (1 + 1e-12), side="right"))


class Stages(NamedTuple):
    """What the two stages leave, as positions: `first` best mean first, `chosen` steadiest first."""

    num_eligible: int
    first: IndexArray
    chosen: IndexArray


def hierarchical(
    mean_sifd: FloatArray, std_sifd: FloatArray, mean_ifd: FloatArray, *, allowance: Allowance, gamma: float
) -> Stages:
    """The whole choice (paper, sec. 3.2): eligible rows, gamma budgets of them by mean, one of these by steadiness."""
    ranked = best_by_mean(mean_sifd, eligible(mean_sifd, mean_ifd))
    first = ranked[: num_within(allowance.row_costs[ranked], cap=gamma * allowance.cap)]
    return Stages(len(ranked), first, allowance.fit(steadiest(std_sifd, first)))
