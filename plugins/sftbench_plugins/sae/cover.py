"""The two ways of choosing rows by features: greedy cover, and rows that are not like what is there.

Both are reconstructions (arXiv 2502.14050 has no public code): what happens when nothing new is left, how
likeness is measured and in which order rows are looked at are parameters.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from sftbench import Ragged

Rows = npt.NDArray[np.int64]
Likeness = Literal["coverage_ratio", "max_jaccard"]


@dataclass(kw_only=True, eq=False)
class Progress:
    """What came of the rows so far: the new features that each brought, and how often all was forgotten."""

    gains: list[int] = field(default_factory=list)
    num_resets: int = 0


def greedy_cover(features: Ragged, rows: Rows, num_latents: int, *, resets: bool, progress: Progress) -> Iterator[int]:
    """Always the row with most features that are not covered yet; of equals the one with most, then the first.

    When no row brings a new one, everything is taken for uncovered again (`resets`), or it ends. Gains only
    shrink between resets, so that an entry of the heap that still holds is the best of all: the result
    is that of looking at every row every time.
    """
    sizes = np.diff(features.offsets)
    covered = np.zeros(num_latents, dtype=np.bool_)
    waiting = set(rows[sizes[rows] > 0].tolist())
    while waiting:
        heap = [(-int(sizes[row]), -int(sizes[row]), row) for row in waiting]
        heapq.heapify(heap)
        while heap:
            gain, size, row = heap[0]
            now = -int(np.count_nonzero(~covered[features[row]]))
            if now != gain:
                heapq.heapreplace(heap, (now, size, row)) if now else heapq.heappop(heap)
                continue
            heapq.heappop(heap)
            covered[features[row]] = True
            waiting.discard(row)
            progress.gains.append(-gain)
            yield row
        if not resets:
            return
        covered[:] = False
        progress.num_resets += bool(waiting)


class _Seen(Protocol):
    """What was accepted since the last reset."""

    def likeness(self, held: npt.NDArray[np.int32]) -> float: ...

    def accept(self, held: npt.NDArray[np.int32]) -> int:
        """Take a row in; how many of its features are new."""
        ...


class _Union:
    """The share of a row's features that some accepted row has."""

    def __init__(self, num_latents: int) -> None:
        self.covered = np.zeros(num_latents, dtype=np.bool_)

    def likeness(self, held: npt.NDArray[np.int32]) -> float:
        return float(np.count_nonzero(self.covered[held])) / len(held)

    def accept(self, held: npt.NDArray[np.int32]) -> int:
        new = len(held) - int(np.count_nonzero(self.covered[held]))
        self.covered[held] = True
        return new


class _Pairs:
    """The largest Jaccard index with an accepted row: features in common over features of either."""

    def __init__(self, num_latents: int) -> None:
        self.having: dict[int, array[int]] = {}
        self.sizes = array("q")

    def likeness(self, held: npt.NDArray[np.int32]) -> float:
        lists = [self.having[feature] for feature in held.tolist() if feature in self.having]
        if not lists:
            return 0.0
        common = np.bincount(np.concatenate([np.frombuffer(each, dtype=np.int64) for each in lists]))
        sizes = np.frombuffer(self.sizes, dtype=np.int64)[: len(common)]
        return float((common / (sizes + len(held) - common)).max())

    def accept(self, held: npt.NDArray[np.int32]) -> int:
        new = sum(feature not in self.having for feature in held.tolist())
        for feature in held.tolist():
            self.having.setdefault(feature, array("q")).append(len(self.sizes))
        self.sizes.append(len(held))
        return new


def unlike(
    features: Ragged,
    order: Rows,
    num_latents: int,
    *,
    below: float,
    likeness: Likeness,
    resets: bool,
    progress: Progress,
) -> Iterator[int]:
    """Rows in order whose likeness to the accepted ones is below a bound; a row without features never is.

    When all were looked at, what was accepted is forgotten and the others are looked at again
    (`resets`), or it ends. The first row of a round is always accepted.
    """
    sizes = np.diff(features.offsets)
    waiting = order[sizes[order] > 0].tolist()
    kind = _Union if likeness == "coverage_ratio" else _Pairs
    while waiting:
        seen: _Seen = kind(num_latents)
        left: list[int] = []
        for row in waiting:
            held = features[row]
            if seen.likeness(held) < below:
                progress.gains.append(seen.accept(held))
                yield row
            else:
                left.append(row)
        if not resets:
            return
        progress.num_resets += bool(left)
        waiting = left
