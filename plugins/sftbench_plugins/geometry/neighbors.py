"""Facility location in large pools: only near neighbours count, and they are looked for in nearby cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.geometry.cells import cells
from sftbench_plugins.geometry.distances import Distances, Kind
from sftbench_plugins.geometry.kept import KeptPairs
from sftbench_plugins.geometry.reading import Positions, Vectors

_POINTS_PER_CELL = 1000
_CELLS_SEARCHED = 8
_POINTS_AT_ONCE = 1024


class NearCoverage:
    """Gains from the `number` nearest neighbours found of each point, itself among them.

    The farthest of these stands for all points beyond: at first every point is as near to the points taken as its
    farthest neighbour is. Gains are otherwise those of `Coverage`.
    """

    def __init__(self, vectors: Vectors, kind: Kind, weights: Positions, *, number: int) -> None:
        from scipy.sparse import csr_array

        distances = Distances(vectors, kind)
        neighbors, apart = find_neighbors(distances, number)
        self.flops = distances.flops
        farthest = np.where(np.isfinite(apart), apart, 0).max(axis=1)
        counts = apart < farthest[:, None]
        starts = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
        pairs = csr_array((apart[counts], neighbors[counts], starts), shape=(len(vectors), len(vectors))).tocsc()
        del neighbors, apart, counts
        self._farthest, self._weights = farthest.astype(np.float64), weights
        self._kept = KeptPairs(self._farthest, weights)
        points, spans = pairs.indices.astype(np.int32, copy=False), pairs.indptr.tolist()
        for candidate in range(len(vectors)):
            own = slice(spans[candidate], spans[candidate + 1])
            self._kept.keep(candidate, points[own], pairs.data[own])

    def __len__(self) -> int:
        return len(self._kept.nearest)

    @property
    def share_covered(self) -> float:
        """The share of points that have a point taken among their neighbours."""
        return float(np.average(self.nearest < self._farthest, weights=self._weights))

    @property
    def nearest(self) -> npt.NDArray[np.float64]:
        """How near the points taken are to each point, or its farthest neighbour if that is nearer."""
        return self._kept.nearest

    def of(self, candidates: Sequence[int]) -> Sequence[float]:
        return [self._kept.gain(each) for each in candidates]

    def take(self, candidate: int) -> None:
        self._kept.take(candidate)


def find_neighbors(distances: Distances, number: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Neighbours int32 [n, number] of each point, nearest first, and their distances; infinite where fewer are found.

    Points are divided into cells of about a thousand, and each is compared with all points of the 8 cells whose
    centres are nearest to that of its own: its own cell and seven others.
    """
    points = distances.points
    centres, members = cells(points.float().cpu().numpy(), max(1, len(points) // _POINTS_PER_CELL))
    around = np.argsort(-(centres @ centres.T), axis=1, kind="stable")[:, :_CELLS_SEARCHED]
    neighbors = np.repeat(np.arange(len(points), dtype=np.int32)[:, None], number, axis=1)
    apart = np.full((len(points), number), np.inf, dtype=np.float32)
    for own, nearby in zip(members, around, strict=True):
        candidates = torch.from_numpy(np.concatenate([members[cell] for cell in nearby])).to(points.device)
        for rows in np.array_split(own, -(-len(own) // _POINTS_AT_ONCE)) if len(own) else ():
            found = distances.between(torch.from_numpy(rows).to(points.device), candidates)
            near, at = found.topk(min(number, len(candidates)), largest=False)
            neighbors[rows, : at.shape[1]] = candidates[at].cpu().numpy()
            apart[rows, : at.shape[1]] = near.cpu().numpy()
    return neighbors, apart
