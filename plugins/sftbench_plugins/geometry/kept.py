"""Pairs of points that are kept in memory, and the gains of facility location that come from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class KeptPairs:
    """For some candidates all points that they can still count for, each with its distance.

    `nearest` float64 [n] is how near the points taken are to each point. A candidate counts for the points that it
    is nearer to than that, so that its list only shrinks.
    """

    def __init__(self, nearest: npt.NDArray[np.float64], weights: npt.NDArray[np.int64]) -> None:
        self.nearest = nearest.copy()
        self._weights = weights.astype(np.float64)
        self._lists: dict[int, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]] = {}
        self.num_pairs = 0

    def __contains__(self, candidate: int) -> bool:
        return candidate in self._lists

    def __len__(self) -> int:
        """For how many candidates."""
        return len(self._lists)

    def keep(self, candidate: int, points: npt.NDArray[np.int32], apart: npt.NDArray[np.float32]) -> None:
        """The points that a candidate counts for, and their distances."""
        self._lists[candidate] = points, apart
        self.num_pairs += len(points)

    def gain(self, candidate: int) -> float:
        """The sum over its points of weight * (nearest - distance)."""
        points, apart = self._lists[candidate]
        saved = self.nearest[points] - apart
        counts = saved > 0
        if 2 * int(counts.sum()) < len(saved):
            points, apart, saved = points[counts], apart[counts], saved[counts]
            self.num_pairs -= len(counts) - len(points)
            self._lists[candidate] = points, apart
        return float(np.maximum(saved, 0) @ self._weights[points])

    def take(self, candidate: int) -> None:
        """Its points are now at most as far as it is."""
        points, apart = self._lists.pop(candidate)
        self.num_pairs -= len(points)
        self.nearest[points] = np.minimum(self.nearest[points], apart)
        self.nearest[candidate] = 0

    def tidy(self) -> None:
        """Let go of the pairs that no longer count."""
        for candidate in self._lists:
            self.gain(candidate)
