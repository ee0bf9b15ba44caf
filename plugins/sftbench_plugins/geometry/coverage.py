"""Facility location by lazy greedy: every step takes the point that brings all points nearest to a point taken."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.geometry.distances import FARTHEST, Distances, Kind
from sftbench_plugins.geometry.kept import KeptPairs
from sftbench_plugins.geometry.reading import Positions, Vectors

MOST_PAIRS = 60_000_000
"""Pairs of points that are kept with their distance, 8 bytes each."""
_BATCH, _MOST_AT_ONCE = 32, 512
_POINTS = 2048
"""Points that candidates are held against at once: few enough for the distances to stay in a cache."""
_CENTRAL, _SAMPLE = 64, 128
_DECIMALS = 9
"""Sums of the same numbers in another order agree to this many places; so rounded, equal gains are equal."""


class Gains(Protocol):
    """What lazy greedy asks; `nearest` float64 [n] is how near the points taken are to each point."""

    @property
    def nearest(self) -> npt.NDArray[np.float64]: ...
    @property
    def flops(self) -> float: ...
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
        size = _BATCH
        while stale := _stale(heap, made_at, step, size):
            made_at[stale] = step
            for gain, candidate in zip(gains.of(stale), stale, strict=True):
                heapq.heappush(heap, (-round(gain, _DECIMALS), candidate))
            size = min(2 * size, _MOST_AT_ONCE)
        gain, candidate = heapq.heappop(heap)
        yield candidate, -gain
        gains.take(candidate)


def _stale(heap: list[tuple[float, int]], made_at: Positions, step: int, most: int) -> list[int]:
    """Off the top of the heap, the candidates before the first whose gain is of this step; at most so many."""
    found: list[int] = []
    while heap and len(found) < most and made_at[heap[0][1]] != step:
        found.append(heapq.heappop(heap)[1])
    return found


class Coverage:
    """Gains from the distances between all points, which need not fit into memory.

    The gain of a point c is the sum over points i of weight_i * max(0, nearest_i - distance(i, c)), where nearest_i
    is how near the points taken are to i. When it is made from all distances, the pairs that count are kept if there
    is room for them: the next time they suffice, since no other pair can ever count. Fewer and fewer do, so that
    before long those of all candidates are kept, and no distance is made again.
    """

    def __init__(self, vectors: Vectors, kind: Kind, weights: Positions, *, most_pairs: int = MOST_PAIRS) -> None:
        self._distances = Distances(vectors, kind)
        self._kept = KeptPairs(np.full(len(vectors), FARTHEST[kind]), weights)
        self._weights = weights.astype(np.float64)
        self._most_pairs = most_pairs
        self._pairs_each = float(len(vectors))
        """How many pairs count for a candidate, about."""
        self._num_taken = 0
        self._review_at = 2
        self._guess = -1
        self._known: list[npt.NDArray[np.float64]] = []
        """Gains of all candidates in this step and in those after it, as far as they are known."""
        if self._has_room(len(vectors)):
            self._keep(range(len(vectors)))
        else:
            self._guess, self._known = self._look()

    def __len__(self) -> int:
        return len(self._distances)

    @property
    def nearest(self) -> npt.NDArray[np.float64]:
        return self._kept.nearest

    @property
    def flops(self) -> float:
        return self._distances.flops

    def of(self, candidates: Sequence[int]) -> Sequence[float]:
        if self._known:
            known: list[float] = self._known[0][candidates].tolist()
            return known
        others = [each for each in candidates if each not in self._kept]
        if not others or self._has_room(len(others)):
            self._keep(others)
            return [self._kept.gain(each) for each in candidates]
        summed = dict(zip(others, self._sums(others), strict=True))
        return [summed[each] if each in summed else self._kept.gain(each) for each in candidates]

    def take(self, candidate: int) -> None:
        if candidate in self._kept:
            self._kept.take(candidate)
        else:
            self.nearest[:] = self._nearest_with(candidate)
        self._num_taken += 1
        if self._known:
            self._known = self._known[1:] if candidate == self._guess else []
        if self._num_taken == self._review_at and len(self._kept) + self._num_taken < len(self):
            self._review()

    def _review(self) -> None:
        """See how many pairs still count, and keep all of them if they fit."""
        self._review_at += -(-self._review_at // 2)
        self._kept.tidy()
        others = [each for each in range(len(self)) if each not in self._kept]
        sample = others[:: max(1, len(others) // _SAMPLE)]
        self._pairs_each = len(self._that_count(sample)[1]) / len(sample)
        if self._has_room(len(others)):
            self._keep(others)

    def _has_room(self, num_candidates: int) -> bool:
        return self._kept.num_pairs + self._pairs_each * num_candidates <= self._most_pairs

    def _look(self) -> tuple[int, list[npt.NDArray[np.float64]]]:
        """The point that is likely to be taken first, and the gains of the first step and of the one after it.

        Both come out of one look at all distances, each of which serves both ways. The guess is the best of the
        points nearest to the mean.
        """
        points = self._distances.points
        weights = self._on_device(self._weights)
        central = (points @ (weights @ points)).topk(min(_CENTRAL, len(self))).indices
        guess = int(central[(self._distances.between(central, slice(0, len(self))) @ weights).argmin()])
        nearest = [self._on_device(self.nearest), self._on_device(self._nearest_with(guess))]
        gains = [torch.zeros(len(self), dtype=torch.float64, device=points.device) for _ in nearest]
        tiles = [slice(start, start + _POINTS) for start in range(0, len(self), _POINTS)]
        for number, rows in enumerate(tiles):
            for columns in tiles[number:]:
                apart = self._distances.between(rows, columns)
                for gain, near in zip(gains, nearest, strict=True):
                    gain[rows] += (near[columns] - apart).clamp_(min=0) @ weights[columns]
                    if columns != rows:
                        gain[columns] += weights[rows] @ (near[rows, None] - apart).clamp_(min=0)
        return guess, [gain.cpu().numpy() for gain in gains]

    def _sums(self, candidates: Sequence[int]) -> list[float]:
        """Gains from all distances, of which none is kept."""
        rows = torch.tensor(candidates, device=self._distances.points.device)
        nearest, weights = self._on_device(self.nearest), self._on_device(self._weights)
        gains = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        for start in range(0, len(self), _POINTS):
            tile = slice(start, start + _POINTS)
            apart = self._distances.between(rows, tile)
            gains += torch.sub(nearest[tile], apart, out=apart).clamp_(min=0) @ weights[tile]
        found: list[float] = gains.tolist()
        return found

    def _keep(self, candidates: Sequence[int]) -> None:
        """Keep the pairs of these candidates that count."""
        for start in range(0, len(candidates), _MOST_AT_ONCE):
            some = candidates[start : start + _MOST_AT_ONCE]
            owners, points, apart = self._that_count(some)
            order = np.argsort(owners, kind="stable")
            points, apart = points[order], apart[order]
            ends = np.cumsum(np.bincount(owners, minlength=len(some))).tolist()
            for candidate, (first, last) in zip(some, pairwise([0, *ends]), strict=True):
                self._kept.keep(candidate, points[first:last].copy(), apart[first:last].copy())

    def _that_count(
        self, candidates: Sequence[int]
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """The pairs of these candidates and the points that they are nearer to than any point taken is."""
        rows = torch.tensor(candidates, device=self._distances.points.device)
        limits = self._on_device(self.nearest)
        all_owners, all_points, all_apart = [], [], []
        for start in range(0, len(self), _POINTS):
            tile = slice(start, start + _POINTS)
            owners, others, apart = self._distances.below(rows, tile, limits[tile])
            all_owners.append(owners.astype(np.int16))
            all_points.append((others + start).astype(np.int32))
            all_apart.append(apart)
        return np.concatenate(all_owners), np.concatenate(all_points), np.concatenate(all_apart)

    def _nearest_with(self, candidate: int) -> npt.NDArray[np.float64]:
        """How near points are when this one is taken, too."""
        apart = self._distances.between(slice(candidate, candidate + 1), slice(0, len(self)))[0]
        nearest: npt.NDArray[np.float64] = np.minimum(self.nearest, apart.double().cpu().numpy())
        nearest[candidate] = 0
        return nearest

    def _on_device(self, values: npt.NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values).to(self._distances.points)
