"""The arms of the bandit: rows with similar embeddings."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt

Clustering = Literal["spherical", "gmm", "dbscan"]
Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_CHUNK = 16384
"""Rows whose similarities to all centres are in memory at once."""
_ROWS_PER_CENTRE = 256
"""Centres are found on at most this many rows each; beyond it they hardly move."""


def default_num_clusters(num_rows: int) -> int:
    """About a thousand rows each, but at least 50 clusters and at least 50 rows each; of a small pool a handful."""
    if num_rows < 2500:
        return min(num_rows, max(2, num_rows // 50))
    return min(max(round(num_rows / 1000), 50), num_rows // 50)


def elbow(vectors: Vectors, *, most: int, rng: np.random.Generator) -> int:
    """The number of clusters at which more of them stop paying, for a report: the knee of the inertia.

    Of up to ten numbers from 2 to `most` in even ratios, the one whose inertia (mean 1 - cosine of a row to its
    centre) lies furthest below the straight line from the first to the last, both axes scaled to 0..1.
    """
    numbers = np.unique(np.geomspace(2, max(2, min(most, len(vectors))), 10).round().astype(int))
    clean = np.nan_to_num(np.asarray(vectors, dtype=np.float32))
    inertia = np.array([_inertia(clean, spherical_centres(clean, int(number), rng=rng)) for number in numbers])
    fall = inertia[0] - inertia[-1]
    if len(numbers) < 3 or fall <= 0:
        return int(numbers[0])
    along = (numbers - numbers[0]) / (numbers[-1] - numbers[0])
    return int(numbers[np.argmax((inertia[0] - inertia) / fall - along)])


def _inertia(vectors: Vectors, centres: Vectors) -> float:
    chunks = (vectors[start : start + _CHUNK] @ centres.T for start in range(0, len(vectors), _CHUNK))
    return 1 - float(np.concatenate([chunk.max(axis=1) for chunk in chunks]).mean())


def cluster(vectors: Vectors, kind: Clustering, *, num_clusters: int, rng: np.random.Generator) -> list[Labels]:
    """Row positions of every cluster, none of them empty; `vectors` are unit length [n, d].

    DBSCAN finds its own number of clusters, and gives noise to the nearest.
    """
    clean = np.nan_to_num(np.asarray(vectors, dtype=np.float32))
    number = min(num_clusters, len(clean))
    if kind == "spherical":
        labels = nearest(clean, spherical_centres(clean, number, rng=rng))
    elif kind == "gmm":
        labels = _mixture(clean, number, rng=rng)
    else:
        labels = _dense(clean)
    by_label = np.argsort(labels, kind="stable")
    edges = np.flatnonzero(np.diff(labels[by_label])) + 1
    return np.split(by_label, edges) if len(labels) else []


def nearest(vectors: Vectors, centres: Vectors) -> Labels:
    """The centre of largest cosine for every row, [n]; of equals the first."""
    chunks = (vectors[start : start + _CHUNK] @ centres.T for start in range(0, len(vectors), _CHUNK))
    return np.concatenate([np.argmax(chunk, axis=1) for chunk in chunks]).astype(np.int64)


def spherical_centres(vectors: Vectors, number: int, *, rng: np.random.Generator, rounds: int = 50) -> Vectors:
    """Unit centres [number, d] that maximise the cosine of each row to its own: Lloyd's rounds on the sphere."""
    if len(vectors) > number * _ROWS_PER_CENTRE:
        vectors = vectors[np.sort(rng.choice(len(vectors), number * _ROWS_PER_CENTRE, replace=False))]
    centres = _spread_out(vectors, number, rng=rng)
    labels = nearest(vectors, centres)
    for _ in range(rounds):
        centres = _mean_directions(vectors, labels, centres)
        moved = nearest(vectors, centres)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return centres


def _spread_out(vectors: Vectors, number: int, *, rng: np.random.Generator) -> Vectors:
    """First centres: each is a row drawn with chances by its distance from those before (k-means++)."""
    chosen = [int(rng.integers(len(vectors)))]
    distance = np.full(len(vectors), np.inf)
    for _ in range(number - 1):
        distance = np.minimum(distance, np.maximum(0.0, 1 - vectors @ vectors[chosen[-1]]).astype(np.float64))
        distance[chosen[-1]] = 0
        total = float(distance.sum())
        chance = distance / total if total > 0 else None
        chosen.append(int(rng.choice(len(vectors), p=chance)))
    return vectors[chosen].copy()


def _mean_directions(vectors: Vectors, labels: Labels, centres: Vectors) -> Vectors:
    """The direction of every cluster's sum; a cluster without rows, or whose rows cancel, keeps its centre."""
    from scipy.sparse import csr_array

    ones = np.ones(len(labels), dtype=np.float32)
    member = csr_array((ones, (labels, np.arange(len(labels)))), shape=(len(centres), len(labels)))
    sums = np.asarray(member @ vectors)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(length > 1e-9, sums / np.maximum(length, 1e-9), centres).astype(np.float32)


def _mixture(vectors: Vectors, number: int, *, rng: np.random.Generator) -> Labels:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    seed = int(rng.integers(2**31))
    mixture = GaussianMixture(number, covariance_type="diag", random_state=seed, reg_covar=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(mixture.fit_predict(vectors), dtype=np.int64)


def _dense(vectors: Vectors, *, neighbours: int = 5) -> Labels:
    """DBSCAN; its radius is the median distance to the `neighbours`-th nearest row (memory grows with n squared)."""
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import NearestNeighbors

    wanted = min(neighbours, len(vectors))
    distances, _ = NearestNeighbors(n_neighbors=wanted).fit(vectors).kneighbors(vectors)
    radius = max(float(np.median(distances[:, -1])), 1e-6)
    labels = np.asarray(DBSCAN(eps=radius, min_samples=wanted).fit_predict(vectors), dtype=np.int64)
    noise = labels < 0
    if noise.all():
        return np.zeros(len(vectors), dtype=np.int64)
    if noise.any():
        start = np.zeros((int(labels.max()) + 1, vectors.shape[1]), dtype=np.float32)
        labels[noise] = nearest(vectors[noise], _mean_directions(vectors[~noise], labels[~noise], start))
    return labels
