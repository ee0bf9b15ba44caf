"""How far unit-length vectors are from each other, as facility location counts it."""

from __future__ import annotations

from typing import Literal

import torch

Kind = Literal["euclidean", "cosine", "exponential"]

FARTHEST = {"euclidean": 2.0, "cosine": 2.0, "exponential": 1.0}
"""What counts as the distance of a point to nothing at all. Similarity is this minus the distance, never negative."""


class Distances:
    """Distances of points `points` [n, d], all of length 1.

    `euclidean`: |x - y|. `cosine`: 1 - x.y. `exponential`: 1 - exp(-|x - y| / d), so that the similarity is the
    one of the package that Superfiltering uses for facility location.
    """

    def __init__(self, points: torch.Tensor, kind: Kind) -> None:
        self.points = points
        self.kind = kind

    def between(self, rows: torch.Tensor, columns: slice) -> torch.Tensor:
        """From these points to those: [rows, columns]."""
        some, others = self.points[rows], self.points[columns].T
        if self.kind == "cosine":
            return torch.mm(-some, others).add_(1).clamp_(min=0)
        apart = torch.mm(-2 * some, others).add_(2).clamp_(min=0).sqrt_()
        if self.kind == "euclidean":
            return apart
        return apart.div_(-self.points.shape[1]).expm1_().neg_()
