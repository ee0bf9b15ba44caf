"""How far unit-length vectors are from each other, as facility location counts it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.geometry.devices import on_device
from sftbench_plugins.geometry.reading import Vectors

Kind = Literal["euclidean", "cosine", "exponential"]

FARTHEST = {"euclidean": 2.0, "cosine": 2.0, "exponential": 1.0}
"""What counts as the distance of a point to nothing at all. Similarity is this minus the distance, never negative."""
_FEW = 7000
"""Up to so many points are worked in double precision, so that gains that are equal come out equal."""


class Distances:
    """Distances of points [n, d], all of length 1.

    `euclidean`: |x - y|. `cosine`: 1 - x.y. `exponential`: 1 - exp(-|x - y| / d), so that the similarity is the
    one of the package that Superfiltering uses for facility location.
    """

    def __init__(self, vectors: Vectors, kind: Kind) -> None:
        points = on_device(vectors)
        self.points = torch.nn.functional.normalize(points.double(), dim=1) if len(points) <= _FEW else points
        self.kind = kind
        self.flops = 0.0
        """What the distances made so far have taken."""
        # The square root makes much of what rounding leaves of a point's distance to itself; it is cut off.
        self._rounding = 1e-12 if self.points.dtype == torch.float64 else 1e-6

    def __len__(self) -> int:
        return len(self.points)

    def between(self, rows: slice | torch.Tensor, columns: slice | torch.Tensor) -> torch.Tensor:
        """From these points to those: [rows, columns]."""
        return self._from_products(self._products(rows, columns))

    def below(
        self, rows: torch.Tensor, columns: slice, limits: torch.Tensor
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The pairs that are nearer than the limit of their column: row, column (both from 0) and distance, by row."""
        products, least = self._products(rows, columns), self._product_at(limits)
        if products.device.type == "cpu":
            # numpy does this several times as fast as torch.
            flat = np.flatnonzero(products.numpy() > least.numpy())
            apart = self._from_products(torch.from_numpy(products.numpy().ravel()[flat]))
        else:
            counts = products > least
            flat = counts.flatten().nonzero()[:, 0].cpu().numpy()
            apart = self._from_products(products[counts]).cpu()
        owners, others = np.divmod(flat, products.shape[1])
        return owners, others, apart.numpy().astype(np.float32)

    def _products(self, rows: slice | torch.Tensor, columns: slice | torch.Tensor) -> torch.Tensor:
        some, others = self.points[rows], self.points[columns].T
        self.flops += 2.0 * some.numel() * others.shape[1]
        return torch.mm(some, others)

    def _from_products(self, products: torch.Tensor) -> torch.Tensor:
        """Distances from scalar products, which are overwritten."""
        if self.kind == "cosine":
            return products.neg_().add_(1).clamp_(min=0)
        apart = products.mul_(-2).add_(2 - self._rounding).clamp_(min=0).sqrt_()
        if self.kind == "euclidean":
            return apart
        return apart.div_(-self.points.shape[1]).expm1_().neg_()

    def _product_at(self, distance: torch.Tensor) -> torch.Tensor:
        """The scalar product of vectors at a distance."""
        if self.kind == "cosine":
            return 1 - distance
        apart = distance if self.kind == "euclidean" else torch.log1p(-distance).mul_(-self.points.shape[1])
        return 1 - apart.square() / 2
