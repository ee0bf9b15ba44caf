"""Clusters: a partition, and the right one where the groups are plain to see."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sftbench_plugins.tokentune.clusters import cluster, default_num_clusters, elbow, spherical_centres

Vectors = npt.NDArray[np.float32]


def blobs(number: int, each: int, *, width: int = 16, spread: float = 0.05) -> tuple[Vectors, npt.NDArray[np.int64]]:
    draw = np.random.default_rng(2)
    centres = draw.normal(size=(number, width))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = draw.permutation(np.repeat(np.arange(number), each))
    points = centres[truth] + spread * draw.normal(size=(number * each, width))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize("kind", ["spherical", "gmm", "dbscan"])
def test_separated_groups_are_found(kind: str) -> None:
    points, truth = blobs(6, 40)
    found = cluster(points, kind, num_clusters=6, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert sorted(np.concatenate(found).tolist()) == list(range(240))
    assert sorted(map(len, found)) == [40] * 6
    assert all(len(set(truth[members])) == 1 for members in found)


def test_spherical_centres_are_unit_length_and_each_is_the_direction_of_its_rows() -> None:
    points, _ = blobs(4, 50, spread=0.4)
    centres = spherical_centres(points, 7, rng=np.random.default_rng(1))
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.ones(7), abs=1e-5)
    nearest = np.argmax(points @ centres.T, axis=1)
    for each in set(nearest):
        total = points[nearest == each].sum(axis=0)
        assert centres[each] == pytest.approx(total / np.linalg.norm(total), abs=1e-4)


@pytest.mark.parametrize("kind", ["spherical", "gmm", "dbscan"])
def test_clusters_are_a_partition_without_empty_ones_for_any_rows(kind: str) -> None:
    draw = np.random.default_rng(4)
    points = draw.normal(size=(90, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[:30] = points[0]
    points[31] = 0
    points[32] = np.nan
    found = cluster(points, kind, num_clusters=20, rng=draw)  # type: ignore[arg-type]
    assert sorted(np.concatenate(found).tolist()) == list(range(90))
    assert all(len(members) for members in found)


def test_more_clusters_than_rows_are_as_many_as_rows_at_most() -> None:
    points = np.eye(3, dtype=np.float32)
    found = cluster(points, "spherical", num_clusters=10, rng=np.random.default_rng(0))
    assert sorted(map(len, found)) == [1, 1, 1]


def test_equal_seeds_give_equal_clusters() -> None:
    points, _ = blobs(5, 30, spread=0.5)
    first, second = (cluster(points, "spherical", num_clusters=9, rng=np.random.default_rng(8)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("num_rows", "wanted"),
    [(1, 1), (2, 2), (80, 2), (500, 10), (2499, 49), (2500, 50), (20_000, 50), (100_000, 100), (1_000_000, 1000)],
)
def test_the_number_of_clusters_follows_the_size_of_the_pool(num_rows: int, wanted: int) -> None:
    assert default_num_clusters(num_rows) == wanted


def test_the_elbow_is_where_separated_groups_are_used_up() -> None:
    for number in (6, 14):
        points, _ = blobs(number, 30)
        found = elbow(points, most=100, rng=np.random.default_rng(0))
        grid = np.unique(np.geomspace(2, 100, 10).round())
        # The first number tried that holds every group.
        assert grid[grid >= number][0] >= found >= grid[grid <= number][-1]
    assert elbow(points[:1], most=100, rng=np.random.default_rng(0)) == 2
    assert elbow(np.ones((50, 4), dtype=np.float32) / 2, most=20, rng=np.random.default_rng(0)) == 2
