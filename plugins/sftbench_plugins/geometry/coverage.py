"""Facility location by lazy greedy: every step takes the point that brings all points nearest to a point taken."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.geometry.distances import FARTHEST, Distances

MOST_PAIRS = 40_000_000
"""Pairs of points that are kept with their distance, 8 bytes each."""
_CANDIDATES, _POINTS = 256, 4096
"""Distances that are in memory at once while gains are made: few enough to stay in a cache."""
_LOOK_EVERY = 16
_SAMPLE = 256


class Gains(Protocol):
    """What lazy greedy asks: gains of candidates, and that one is taken. `batch` of them are asked for at first."""

    @property
    def batch(self) -> int: ...
    def __len__(self) -> int: ...
    def of(self, candidates: Sequence[int]) -> Sequence[float]: ...
    def take(self, candidate: int) -> None: ...


def lazy_greedy(gains: Gains) -> Iterator[tuple[int, float]]:
    """All candidates, each the best one after those before it, with its gain; of equal gains the first candidate.

    Gains only shrink while candidates are taken, so one made earlier is an upper bound, and only bounds above the
    best gain need be made anew (Minoux 1978).
    """
    heap = [(-np.inf, candidate) for candidate in range(len(gains))]
    made_at = np.full(len(gains), -1)
    for step in range(len(gains)):
        size = gains.batch
        while stale := _stale(heap, made_at, step, size):
            made_at[stale] = step
            for gain, candidate in zip(gains.of(stale), stale, strict=True):
                heapq.heappush(heap, (-gain, candidate))
            size *= 2
        bound, candidate = heapq.heappop(heap)
        yield candidate, -bound
        gains.take(candidate)


def _stale(
    heap: list[tuple[float, int]], made_at: npt.NDArray[np.int64], step: int, most: int
) -> list[int]:
    """Off the top of the heap, the candidates before the first whose gain is of this step; at most so many."""
    found: list[int] = []
    while heap and len(found) < most and made_at[heap[0][1]] != step:
        found.append(heapq.heappop(heap)[1])
    return found


class Coverage:
    """Gains from the distances between all points, though these do not fit into memory.

    The gain of a point c is the sum over points i of weight_i * max(0, nearest_i - distance(i, c)), where nearest_i
    is how near the points taken are to i. As soon as the pairs that are nearer to each other than `nearest` fit
    into memory, they are kept and nothing else is looked at again: no other pair can ever count.
    """

    def __init__(self, distances: Distances, weights: npt.NDArray[np.int64], *, most_pairs: int = MOST_PAIRS) -> None:
        self._distances = distances
        self._weights = torch.from_numpy(weights.astype(np.float32)).to(distances.points.device)
        self._nearest = torch.full_like(self._weights, FARTHEST[distances.kind])
        self._most_pairs = most_pairs
        self._kept: KeptPairs | None = None
        self._num_taken = 0
        self.num_evaluated = 0
        """Gains that were made from the distances to all points."""
        self._keep_pairs_if_few()

    @property
    def batch(self) -> int:
        return 64 if self._kept is None else self._kept.batch

    def __len__(self) -> int:
        return len(self._weights)

    def of(self, candidates: Sequence[int]) -> Sequence[float]:
        if self._kept is not None:
            return self._kept.of(candidates)
        self.num_evaluated += len(candidates)
        chosen = torch.tensor(candidates, device=self._weights.device)
        gains = torch.zeros(len(chosen), dtype=torch.float64, device=chosen.device)
        for part, total in zip(chosen.split(_CANDIDATES), gains.split(_CANDIDATES), strict=True):
            for start in range(0, len(self), _POINTS):
                points = slice(start, start + _POINTS)
                saved = torch.sub(self._nearest[points], self._distances.between(part, points)).clamp_(min=0)
                total += saved @ self._weights[points]
        found: list[float] = gains.tolist()
        return found

    def take(self, candidate: int) -> None:
        if self._kept is not None:
            return self._kept.take(candidate)
        everything = slice(0, len(self))
        apart = self._distances.between(torch.tensor([candidate], device=self._weights.device), everything)[0]
        self._nearest = torch.minimum(self._nearest, apart)
        self._nearest[candidate] = 0
        self._num_taken += 1
        if self._num_taken % _LOOK_EVERY == 0:
            self._keep_pairs_if_few()

    def _keep_pairs_if_few(self) -> None:
        sample = torch.arange(0, len(self), max(1, len(self) // _SAMPLE), device=self._weights.device)
        num_pairs = sum(int((apart < self._nearest).sum()) for apart in self._rows(sample, 16))
        if num_pairs / max(1, len(sample)) * len(self) > self._most_pairs:
            return
        candidates = torch.arange(len(self), device=self._weights.device)
        points, apart, lengths = [], [], []
        for rows in self._rows(candidates, max(1, min(128, 2**24 // max(1, len(self))))):
            within = rows < self._nearest
            points.append(within.nonzero()[:, 1].to(torch.int32).cpu().numpy())
            apart.append(rows[within].cpu().numpy())
            lengths.append(within.sum(1).cpu().numpy())
        self._kept = KeptPairs(
            points=_joined(points),
            apart=_joined(apart),
            lengths=_joined(lengths),
            nearest=self._nearest.cpu().numpy(),
            weights=self._weights.cpu().numpy(),
        )

    def _rows(self, candidates: torch.Tensor, at_once: int) -> Iterator[torch.Tensor]:
        """Distances from these points to all, some at a time."""
        for part in candidates.split(at_once):
            yield self._distances.between(part, slice(0, len(self)))


class KeptPairs:
    """Gains from pairs of points that are kept with their distance.

    Candidate c counts for the points `points[start:start + length]`, of which `start` and `length` are its own, at
    the distances `apart` of the same places. Pairs that no longer count are dropped when half of c's are of these.
    """

    batch = 1

    def __init__(
        self,
        *,
        points: npt.NDArray[np.int32],
        apart: npt.NDArray[np.float32],
        lengths: npt.NDArray[np.int64],
        nearest: npt.NDArray[np.float32],
        weights: npt.NDArray[np.float32],
    ) -> None:
        self._points, self._apart = points, apart
        self._lengths = lengths
        self._starts = np.cumsum(lengths) - lengths
        self._nearest = nearest.copy()
        self._weights = weights.astype(np.float64)

    def __len__(self) -> int:
        return len(self._lengths)

    def of(self, candidates: Sequence[int]) -> Sequence[float]:
        return [self._gain(candidate) for candidate in candidates]

    def take(self, candidate: int) -> None:
        own = self._own(candidate)
        points = self._points[own]
        self._nearest[points] = np.minimum(self._nearest[points], self._apart[own])
        self._nearest[candidate] = 0

    def _own(self, candidate: int) -> slice:
        start = int(self._starts[candidate])
        return slice(start, start + int(self._lengths[candidate]))

    def _gain(self, candidate: int) -> float:
        own = self._own(candidate)
        points, apart = self._points[own], self._apart[own]
        saved = self._nearest[points] - apart
        counts = saved > 0
        num_left = int(counts.sum())
        if 2 * num_left < len(saved):
            points, apart, saved = points[counts], apart[counts], saved[counts]
            kept = slice(own.start, own.start + num_left)
            self._points[kept], self._apart[kept] = points, apart
            self._lengths[candidate] = num_left
        return float(np.maximum(saved, 0) @ self._weights[points])


def _joined(parts: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """One array out of many, which are let go."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole
