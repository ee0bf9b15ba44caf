"""Clusters against groups that are known, components against a singular value decomposition, and degenerate pools."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sftbench_plugins.quality.clusters import cluster, default_num_clusters


def run(vectors, number, *, variance=0.95, random_state=42):
    given = np.asarray(vectors, dtype=np.float32)
    return cluster(given, num_clusters=number, variance=variance, random_state=random_state)


def blobs(count, groups, *, seed=0):
    """Points close about centres that are far apart."""
    draw = np.random.default_rng(seed)
    member = np.arange(count) % groups
    return 0.01 * draw.normal(size=(count, 12)) + 5 * draw.normal(size=(groups, 12))[member], member


@pytest.mark.parametrize(("rows", "number"), [(52_002, 161), (2, 1), (1, 1), (0, 1), (1400, 26), (600, 17)])
def test_as_many_clusters_as_the_root_of_half_the_rows(rows, number):
    assert default_num_clusters(rows) == number


def test_groups_that_lie_apart_are_found():
    vectors, member = blobs(60, 3)
    found = run(vectors, 3)
    assert adjusted_rand_score(member, found.labels) == 1.0
    assert found.labels.dtype == np.int64


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_as_many_components_are_kept_as_hold_the_share_of_the_variance(share):
    draw = np.random.default_rng(1)
    vectors = draw.normal(size=(80, 10)) * np.linspace(3, 0.1, 10)
    squares = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False) ** 2
    expected = int(np.searchsorted(np.cumsum(squares) / squares.sum(), share) + 1)
    assert run(vectors, 4, variance=share).num_components == expected


def test_each_row_lies_in_the_cluster_of_the_nearest_mean():
    """With all variance kept but a trace, as k-means promises once it has settled."""
    vectors = np.random.default_rng(2).normal(size=(120, 4))
    labels = run(vectors, 5, variance=0.999999).labels
    means = np.stack([vectors[labels == label].mean(0) for label in range(5)])
    apart = np.linalg.norm(vectors[:, None] - means[None], axis=2)
    assert (apart.argmin(1) == labels).mean() > 0.98


def test_equal_rows_share_a_cluster_and_fewer_distinct_ones_than_clusters_do_no_harm():
    vectors = np.repeat(np.eye(3), 4, axis=0)
    labels = run(vectors, 6).labels
    assert len(set(labels.tolist())) == 3
    assert all(len(set(labels[start : start + 4].tolist())) == 1 for start in (0, 4, 8))


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.ones((1, 3)), np.empty((0, 3))])
def test_where_nothing_differs_there_is_one_cluster(vectors):
    found = run(vectors, 4)
    assert found.labels.tolist() == [0] * len(vectors)
    assert (found.num_components, found.flops) == (0, 0.0)


def test_the_work_is_told_and_grows_with_the_rows():
    small, _ = blobs(40, 4)
    large, _ = blobs(400, 4)
    assert 0 < run(small, 4).flops < run(large, 4).flops
