"""The nearest rows of every row by cosine distance, in a whole pool and in many samples of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
_HELD_BYTES = 2**28
"""Distances that are in memory at once."""
_FAR = 10
"""With samples smaller than one part in so many, distances within each sample are less work than all at once."""


@dataclass(kw_only=True, eq=False)
class Neighbours:
    """Rows with unit vectors [n, d], each standing `copies` times: positions 0..N-1 with N = copies * n.

    Position i is row i % n. Of all rows the nearest are found once, and a sample's nearest are read off
    those lists, so that a hundred samples cost little more than one. `num_products` counts pairs compared.
    """

    vectors: Vectors
    copies: int = 1
    num_products: int = 0
    _lists: tuple[Positions, Vectors] | None = None

    def __len__(self) -> int:
        return self.copies * len(self.vectors)

    def everywhere(self, k: int) -> tuple[Positions, Vectors]:
        """Rows [n, k] nearest to each row among all positions, itself included, nearest first, and distances [n, k].

        Equal distances are in no particular order.
        """
        depth = math.ceil(k / self.copies)
        rows, distances = self._listed(depth)
        rows, distances = np.repeat(rows[:, :depth], self.copies, 1), np.repeat(distances[:, :depth], self.copies, 1)
        return rows[:, :k], distances[:, :k]

    def within(self, sample: Positions, k: int) -> tuple[Positions, Vectors]:
        """The same for distinct positions [s], of whom nobody else counts: rows [s, k] and distances [s, k]; k <= s."""
        if len(self) > _FAR * len(sample):
            return self._compared(sample, sample, k)
        rows, distances = np.empty((len(sample), k), dtype=np.int64), np.empty((len(sample), k), dtype=np.float32)
        inside = np.zeros(len(self), dtype=np.bool_)
        inside[sample] = True
        times = inside.reshape(self.copies, -1).sum(0)
        lists, lengths = self._listed(self._depth(len(sample), k))
        width = max(1, _HELD_BYTES // (64 * lists.shape[1]))
        for start in range(0, len(sample), width):
            part = slice(start, start + width)
            own = sample[part] % len(self.vectors)
            ends = times[lists[own]].cumsum(1)
            # The j-th of the k nearest is the first in the list up to which more than j positions are in the sample.
            at = (ends[:, None, :] <= np.arange(k)[None, :, None]).sum(2)
            lacking = ends[:, -1] < k
            at[lacking] = 0
            rows[part] = np.take_along_axis(lists[own], at, axis=1)
            distances[part] = np.take_along_axis(lengths[own], at, axis=1)
            if lacking.any():
                short = start + np.flatnonzero(lacking)
                rows[short], distances[short] = self._compared(sample[short], sample, k)
        return rows, distances

    def _depth(self, sample_size: int, k: int) -> int:
        """How long lists must be so that nearly always k of them are in a sample."""
        wanted = (k + 4 * math.sqrt(k) + 8) * len(self) / sample_size
        return min(len(self.vectors), math.ceil(wanted))

    def _listed(self, depth: int) -> tuple[Positions, Vectors]:
        """Nearest rows of every row, at least `depth` of them; the longest lists made so far serve everybody."""
        depth = min(depth, len(self.vectors))
        if self._lists is None or self._lists[0].shape[1] < depth:
            self._lists = self._compared(np.arange(len(self.vectors)), None, depth)
        return self._lists

    def _compared(self, asked: Positions, among: Positions | None, k: int) -> tuple[Positions, Vectors]:
        """Nearest of `among` (None: of all rows) for each of `asked`, by comparing every pair, a block at a time."""
        import torch

        others = np.arange(len(self.vectors)) if among is None else among % len(self.vectors)
        theirs = self._tensor if among is None else self._tensor[torch.from_numpy(others)]
        rows, distances = np.empty((len(asked), k), dtype=np.int64), np.empty((len(asked), k), dtype=np.float32)
        size = max(1, _HELD_BYTES // (4 * len(others)))
        for start in range(0, len(asked), size):
            block = torch.from_numpy(asked[start : start + size] % len(self.vectors))
            near = torch.topk(1.0 - self._tensor[block] @ theirs.T, k, dim=1, largest=False, sorted=True)
            rows[start : start + size] = others[near.indices.cpu().numpy()]
            distances[start : start + size] = near.values.cpu().numpy()
        self.num_products += len(asked) * len(others)
        return rows, distances

    @cached_property
    def _tensor(self) -> torch.Tensor:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.nn.functional.normalize(torch.from_numpy(np.ascontiguousarray(self.vectors)), dim=1).to(device)
