"""Clusters of embeddings as topics: UMAP and HDBSCAN, or principal components and k-means."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench import EnvironmentProblem

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_COMPONENTS = 50
_ROWS_PER_TOPIC = 5
"""k-means is given one topic for so many times the least size: about as many as HDBSCAN finds."""
_NEIGHBOURHOODS = 10
"""Rows worth so many neighbourhoods make a graph whose shape says something; with fewer UMAP is not tried."""
_CHUNK = 16384


@dataclass(frozen=True, kw_only=True, eq=False)
class TopicModel:
    """`labels` int64 [m] are topics by falling size, -1 for outliers; `centres` [k, d] have unit length.

    `reduction` says how they were found, where the pool did not allow what was asked for, too.
    """

    labels: Labels
    centres: Vectors
    reduction: str


def find_topics(
    vectors: Vectors,
    *,
    reduction: Literal["umap", "pca"],
    neighbours: int,
    dimensions: int,
    min_topic_size: int,
    random_state: int,
) -> TopicModel:
    """Topics of unit vectors [m, d]. Where no cluster stands out all rows are one topic.

    Raises `EnvironmentProblem` when umap-learn is wanted and missing.
    """
    if not len(vectors):
        nowhere = np.zeros((1, vectors.shape[1]), dtype=np.float32)
        return TopicModel(labels=np.empty(0, dtype=np.int64), centres=nowhere, reduction="no rows")
    too_few = len(vectors) < _NEIGHBOURHOODS * neighbours or len(vectors) <= 2 * (dimensions + 1)
    if reduction == "pca" or too_few:
        labels = _k_means(vectors, max(1, len(vectors) // (_ROWS_PER_TOPIC * min_topic_size)), random_state)
        made = "pca, too few rows for umap" if reduction == "umap" else "pca"
    else:
        flat = _umap(vectors, min(neighbours, len(vectors) - 1), dimensions, random_state)
        labels, made = _hdbscan(flat, min_topic_size), "umap"
    if not (labels >= 0).any():
        labels, made = np.zeros(len(vectors), dtype=np.int64), f"{made}, no cluster found"
    labels = _by_size(labels)
    return TopicModel(labels=labels, centres=_centres(vectors, labels), reduction=made)


def nearest(vectors: Vectors, centres: Vectors) -> tuple[Labels, npt.NDArray[np.float64]]:
    """The centre of largest cosine for every row (of equals the first), and that cosine: [n] each."""
    topics = np.zeros(len(vectors), dtype=np.int64)
    cosines = np.zeros(len(vectors))
    for start in range(0, len(vectors), _CHUNK):
        likeness = vectors[start : start + _CHUNK] @ centres.T
        here = slice(start, start + len(likeness))
        topics[here] = likeness.argmax(axis=1)
        cosines[here] = likeness.max(axis=1)
    return topics, cosines


def _umap(vectors: Vectors, neighbours: int, dimensions: int, random_state: int) -> Vectors:
    with warnings.catch_warnings():
        # It warns of parts of its own that are not installed, and of graphs in several pieces.
        warnings.simplefilter("ignore")
        try:
            from umap import UMAP
        except ImportError:
            raise EnvironmentProblem("topics need umap-learn: pip install umap-learn, or give reduction=pca") from None
        # One thread: with several the result is another each time.
        mapper = UMAP(
            n_neighbors=neighbours,
            n_components=dimensions,
            min_dist=0.0,
            metric="cosine",
            random_state=random_state,
            n_jobs=1,
        )
        flat: Vectors = np.asarray(mapper.fit_transform(vectors), dtype=np.float32)
    return flat


def _hdbscan(flat: Vectors, min_topic_size: int) -> Labels:
    from sklearn.cluster import HDBSCAN

    # UMAP leaves a row that is connected to no other without a place.
    placed = np.isfinite(flat).all(axis=1)
    labels = np.full(len(flat), -1, dtype=np.int64)
    if placed.sum() < 2 * min_topic_size:
        return labels
    found = HDBSCAN(min_cluster_size=min_topic_size, copy=True).fit_predict(flat[placed])
    labels[placed] = np.maximum(found, -1)
    return labels


def _k_means(vectors: Vectors, number: int, random_state: int) -> Labels:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    parts = min(_COMPONENTS, *vectors.shape)
    flat = PCA(parts, random_state=random_state).fit_transform(vectors) if len(vectors) > 1 else vectors
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    # Warnings are of fewer distinct rows than centres.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        means = KMeans(min(number, len(flat)), n_init=1, random_state=random_state)
        return np.asarray(means.fit_predict(flat), dtype=np.int64)


def _by_size(labels: Labels) -> Labels:
    """The same groups, numbered with the largest first; of equals the one that comes first."""
    inside = labels[labels >= 0]
    kinds, first, counts = np.unique(inside, return_index=True, return_counts=True)
    number = np.full(int(labels.max()) + 2, -1, dtype=np.int64)
    number[kinds[np.lexsort((first, -counts))]] = np.arange(len(kinds))
    return number[labels]


def _centres(vectors: Vectors, labels: Labels) -> Vectors:
    """The direction of the mean of every topic; where the rows cancel out, that of its first row."""
    from scipy.sparse import csr_array

    inside = np.flatnonzero(labels >= 0)
    ones = np.ones(len(inside), dtype=np.float64)
    member = csr_array((ones, (labels[inside], inside)), shape=(int(labels.max()) + 1, len(labels)))
    sums = np.asarray(member @ vectors.astype(np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    first = vectors[inside[np.unique(labels[inside], return_index=True)[1]]]
    return np.where(lengths > 1e-9, sums / np.maximum(lengths, 1e-9), first).astype(np.float32)
