"""K-center greedy: again and again the point that is farthest from all points taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.geometry.devices import on_device

_COLUMN_BYTES = 2**26
"""What the distances of points that may be next take in memory."""
_MOST_COLUMNS = 64
_NEAR = 1e-2
"""Squared distances below this share of the squared lengths are made again from differences of coordinates."""
_ROWS_AT_ONCE = 2**14


def farthest_first(vectors: npt.NDArray[np.float32], first: int) -> Iterator[tuple[int, float]]:
    """Every point [n, d] in the order of k-center greedy, with its euclidean distance to those before it.

    `first` comes first, at an infinite distance; of equally far points the first. A point that equals one
    before it has distance 0, so that such points come last and in order. Sener and Savarese 2018, algorithm 1.

    Distances to one point at a time would be bound by reading all vectors from memory, so they are made
    for several points that are far now and likely to be next; the order is the same.
    """
    space = _Space(on_device(vectors))
    nearest = torch.full((len(vectors),), torch.inf, device=space.device)
    columns: dict[int, torch.Tensor] = {}
    at, distance = first, float("inf")
    for _ in range(len(vectors)):
        if at not in columns:
            columns = space.columns(_likely(nearest, at))
        yield at, distance
        nearest = torch.minimum(nearest, columns[at])
        nearest[at] = -1
        at = int(nearest.argmax())
        distance = float(nearest[at].clamp(min=0).sqrt())


def _likely(nearest: torch.Tensor, at: int) -> list[int]:
    """The point that is next now, and those that may be soon: the farthest after it."""
    if nearest[at].isinf():
        return [at]
    count = max(1, min(_MOST_COLUMNS, _COLUMN_BYTES // (4 * len(nearest)), len(nearest)))
    others: list[int] = nearest.topk(count).indices.tolist()
    return list(dict.fromkeys([at, *others]))[:count]


class _Space:
    """Points and their squared distances."""

    def __init__(self, points: torch.Tensor) -> None:
        self.points = points
        self.squares = points.square().sum(1)
        self.device = points.device

    def columns(self, rows: list[int]) -> dict[int, torch.Tensor]:
        """For each of these points its squared distances [n] to all."""
        some = torch.tensor(rows, device=self.device)
        found = torch.addmm(self.squares[None], self.points[some], self.points.T, alpha=-2)
        found += self.squares[some][:, None]
        for at, row in enumerate(rows):
            self._sharpen(found[at], row)
        return dict(zip(rows, found, strict=True))

    def _sharpen(self, column: torch.Tensor, row: int) -> None:
        """Small distances again, where the difference of large products has lost them."""
        near = (column < _NEAR * (self.squares + self.squares[row])).nonzero()[:, 0]
        for some in near.split(_ROWS_AT_ONCE):
            column[some] = (self.points[some] - self.points[row]).square().sum(1)


def radius(vectors: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]) -> float:
    """The largest distance of a point to the nearest point chosen."""
    space = _Space(on_device(vectors))
    nearest = torch.full((len(vectors),), torch.inf, device=space.device)
    for row in chosen.tolist():
        nearest = torch.minimum(nearest, space.columns([row])[row])
    return float(nearest.max().sqrt())
