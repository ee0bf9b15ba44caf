"""How near a generated row is to the real ones, by the cosine of their embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CALIBRATION_PERCENTILE = 5
MAX_QUERIES = 10_000
"""Real rows whose nearest neighbours are looked for; each is compared with all others."""
_BLOCK = 512


@dataclass(kw_only=True)
class Closeness:
    """Real rows [n, d] of unit length, and what counts as near: the nearest row, or the mean of the five nearest.

    Rows whose embedding is not finite are left out.
    """

    real: Floats
    num_neighbours: int = 1

    def __post_init__(self) -> None:
        self.real = self.real[np.isfinite(self.real).all(axis=1)]

    def of(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """Cosine [m] of each vector to the nearest real rows; NaN for a vector that is not finite."""
        parts = [vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK)]
        return np.concatenate([np.empty(0), *map(self._nearest, parts)])

    def threshold(self, rng: np.random.Generator) -> float:
        """The 5th percentile of the same figure among real rows, each compared with all but itself."""
        queries = np.arange(len(self.real))
        if len(queries) > MAX_QUERIES:
            queries = np.sort(rng.choice(queries, size=MAX_QUERIES, replace=False))
        if len(self.real) < 2:
            return -1.0
        parts = [queries[start : start + _BLOCK] for start in range(0, len(queries), _BLOCK)]
        found = [self._nearest(self.real[part], but=part) for part in parts]
        return float(np.percentile(np.concatenate(found), CALIBRATION_PERCENTILE))

    def _nearest(self, vectors: Floats, but: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.float64]:
        cosines = vectors @ self.real.T
        if but is not None:
            cosines[np.arange(len(but)), but] = -np.inf
        count = min(self.num_neighbours, cosines.shape[1] - (but is not None))
        nearest = np.partition(cosines, -count, axis=1)[:, -count:]
        means: npt.NDArray[np.float64] = nearest.mean(axis=1, dtype=np.float64)
        return means


@dataclass(kw_only=True)
class Kept:
    """The vectors kept so far, for telling a near-duplicate."""

    cap: float
    count: int = 0
    _vectors: Floats = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))

    def admits(self, vector: Floats) -> bool:
        """Whether no vector kept before is nearer than the cap; if so, this one is kept."""
        if self.count and float((self._vectors[: self.count] @ vector).max()) > self.cap:
            return False
        if self.count == len(self._vectors):
            larger = np.empty((max(256, 2 * self.count), len(vector)), dtype=np.float32)
            larger[: self.count] = self._vectors[: self.count].reshape(self.count, len(vector))
            self._vectors = larger
        self._vectors[self.count] = vector
        self.count += 1
        return True
