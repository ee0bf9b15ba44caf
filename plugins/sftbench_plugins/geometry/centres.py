"""K-center greedy: again and again the point that is farthest from all points taken."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sftbench_plugins.geometry.devices import on_device
from sftbench_plugins.geometry.reading import Vectors

_MOST_COLUMNS = 64
_COLUMN_BYTES = 2**26
"""What the distances of points that may be next take in memory."""
_NEAR = 1e-2
"""Squared distances below this share of the squared lengths are made again from differences of coordinates."""
_POINTS_AT_ONCE = 2**14


class Farthest:
    """Points [n, d] in the order of k-center greedy, each with its euclidean distance to those before it.

    `first` comes first, at an infinite distance; of equally far points the first. A point that equals one
    before it has distance 0, so that such points come last and in order (Sener and Savarese 2018, algorithm 1).

    Distances to one point at a time would wait for all vectors to be read from memory, so they are made for
    several points that are far now and likely to be next; the order is the same.
    """

    def __init__(self, vectors: Vectors, first: int) -> None:
        self._points = on_device(vectors)
        self._squares = self._points.square().sum(1)
        self.first = first
        self.num_columns = 0
        """Points of which the distances to all others were made."""

    def __iter__(self) -> Iterator[tuple[int, float]]:
        nearest = torch.full_like(self._squares, torch.inf)
        columns: dict[int, torch.Tensor] = {}
        at, distance = self.first, float("inf")
        most, num_used = max(1, min(_MOST_COLUMNS, _COLUMN_BYTES // (4 * len(nearest)), len(nearest))), 1
        for _ in range(len(nearest)):
            yield at, distance
            if at not in columns:
                # As many again as were of use, and as many more.
                columns = self._columns(_likely(nearest, at, min(most, 2 * num_used)))
                num_used = 0
            num_used += 1
            nearest = torch.minimum(nearest, columns[at])
            nearest[at] = -1
            at = int(nearest.argmax())
            distance = float(nearest[at].clamp(min=0).sqrt())

    def _columns(self, rows: list[int]) -> dict[int, torch.Tensor]:
        """For each of these points its squared distances [n] to all."""
        self.num_columns += len(rows)
        some = torch.tensor(rows, device=self._points.device)
        found = torch.addmm(self._squares[None], self._points[some], self._points.T, alpha=-2)
        found += self._squares[some][:, None]
        for column, row in zip(found, rows, strict=True):
            self._sharpen(column, row)
        return dict(zip(rows, found, strict=True))

    def _sharpen(self, column: torch.Tensor, row: int) -> None:
        """Small distances again, where the difference of large products has lost them."""
        near = (column < _NEAR * (self._squares + self._squares[row])).nonzero()[:, 0]
        for some in near.split(_POINTS_AT_ONCE):
            column[some] = (self._points[some] - self._points[row]).square().sum(1)


def _likely(nearest: torch.Tensor, at: int, count: int) -> list[int]:
    """The point that is next now, and those that may be soon: the farthest after it."""
    if nearest[at].isinf():
        return [at]
    others: list[int] = nearest.topk(count).indices.tolist()
    return list(dict.fromkeys([at, *others]))[:count]
