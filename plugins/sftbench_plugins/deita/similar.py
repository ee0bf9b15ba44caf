"""The filter of Deita: rows in order of their scores, each taken unless it is too like one that was taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
_BLOCK = 512
_CHUNK = 16384
"""Rows taken whose similarities to a block are in memory at once."""
_SAME = 0.99999


@dataclass(kw_only=True)
class Filtered:
    """What a filter has taken, in order, and what it met on the way."""

    taken: list[int] = field(default_factory=list)
    num_scanned: int = 0
    num_rejected: int = 0
    num_same: int = 0
    """Rejected rows that are practically equal to a row taken."""
    num_products: int = 0
    """Pairs of vectors that were compared."""


@dataclass(kw_only=True)
class Filter:
    """Takes a row if no similarity to a row taken is above `threshold`.

    `vectors` [n, d] need not have unit length. With `batch` above 1 it works as the authors' code does
    with that batch size: a row is also rejected for being like an earlier row of its batch, taken or
    not; the first row is a batch of its own. Source: hkust-nlp/deita @ b279f2c, `IterativeFilter.filter`.
    """

    vectors: Vectors
    threshold: float
    batch: int = 1
    _kept: Vectors = field(init=False)

    def run(self, order: Positions, *, costs: npt.NDArray[np.float64], cap: float) -> Filtered:
        """Go through positions in this order until what is taken uses up `cap`; the last may be too dear."""
        found, spent = Filtered(), 0.0
        self._kept = np.empty((_BLOCK, self.vectors.shape[1]), dtype=np.float32)
        for block in self._blocks(order):
            for at in self._survivors(block, found):
                self._keep(int(block[at]), found)
                spent += float(costs[block[at]])
                if spent >= cap * (1 - 1e-12):
                    return found
        return found

    def _blocks(self, order: Positions) -> Iterator[Positions]:
        """The first row alone, then batches; for batches of one the size makes no difference but to speed."""
        size = _BLOCK if self.batch == 1 else self.batch
        yield order[:1]
        for start in range(1, len(order), size):
            yield order[start : start + size]

    def _survivors(self, block: Positions, found: Filtered) -> Iterator[int]:
        """Places within a block of rows to take; what is rejected is counted before the next one is looked at."""
        vectors = _unit(self.vectors[block])
        highest = self._highest_to_kept(vectors, len(found.taken))
        among = vectors @ vectors.T
        found.num_products += len(block) * (len(found.taken) + len(block))
        for at in range(len(block)):
            if self.batch > 1 and at:
                highest[at] = max(highest[at], among[at, :at].max())
            found.num_scanned += 1
            if highest[at] > self.threshold:
                found.num_rejected += 1
                found.num_same += int(highest[at] > _SAME)
                continue
            if self.batch == 1:
                np.maximum(highest, among[at], out=highest)
            yield at

    def _highest_to_kept(self, vectors: Vectors, num_kept: int) -> Vectors:
        highest = np.full(len(vectors), -np.inf, dtype=np.float32)
        for start in range(0, num_kept, _CHUNK):
            np.maximum(highest, (vectors @ self._kept[start : min(start + _CHUNK, num_kept)].T).max(1), out=highest)
        return highest

    def _keep(self, position: int, found: Filtered) -> None:
        if len(found.taken) == len(self._kept):
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
        self._kept[len(found.taken)] = _unit(self.vectors[[position]])[0]
        found.taken.append(position)


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
