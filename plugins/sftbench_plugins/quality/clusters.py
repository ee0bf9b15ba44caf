"""Groups of similar rows, as CaR makes them: principal components, then k-means."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """`labels` int64 [m]; `num_components` is what was kept of the vectors, `flops` about what both steps took."""

    labels: Labels
    num_components: int
    flops: float


def default_num_clusters(num_rows: int) -> int:
    """The authors' rule: the root of half the rows, 161 for 52,002."""
    return max(1, int(np.sqrt(num_rows / 2)))


def cluster(vectors: Vectors, *, num_clusters: int, variance: float, random_state: int) -> Clusters:
    """k-means on as many principal components of vectors [m, d] as hold a share `variance` of the variance.

    As scikit-learn does both with a fixed random state, k-means from one start (arXiv 2402.18191, the authors' code).
    The order of the rows decides where k-means begins.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        return Clusters(labels=np.zeros(len(vectors), dtype=np.int64), num_components=0, flops=0.0)
    reduced = PCA(n_components=variance, random_state=random_state).fit_transform(vectors)
    means = KMeans(min(num_clusters, len(vectors)), n_init=1, random_state=random_state)
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters: some clusters stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = np.asarray(means.fit_predict(reduced), dtype=np.int64)
    decomposing = 2.0 * vectors.size * min(vectors.shape)
    comparing = 2.0 * reduced.size * means.n_clusters * (means.n_iter_ + 1)
    return Clusters(labels=labels, num_components=int(reduced.shape[1]), flops=decomposing + comparing)
