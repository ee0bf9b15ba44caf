"""Facility location by near neighbours: what is found of them, and how far it falls behind the exact one."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from sftbench_plugins.geometry import neighbors
from sftbench_plugins.geometry.coverage import Coverage, lazy_greedy
from sftbench_plugins.geometry.distances import FARTHEST, Distances
from sftbench_plugins.geometry.neighbors import NearCoverage, find_neighbors


@pytest.fixture
def small_cells(monkeypatch):
    """Cells of forty points, of which eight are looked at."""
    monkeypatch.setattr(neighbors, "_POINTS_PER_CELL", 40)


def order_of(gains, count):
    return [at for at, _ in islice(lazy_greedy(gains), count)]


@pytest.mark.parametrize("kind", sorted(FARTHEST))
def test_in_few_cells_all_neighbours_are_found(make_vectors, kind):
    vectors = make_vectors(300)
    found, apart = find_neighbors(Distances(vectors, kind), 20)
    similar = vectors.astype(np.float64) @ vectors.T
    expected = np.sort(similar, axis=1)[:, ::-1][:, :20]
    np.testing.assert_allclose(np.take_along_axis(similar, found, axis=1), expected, atol=1e-6)
    assert (found[:, 0] == np.arange(300)).all()
    assert (np.diff(apart, axis=1) >= 0).all()


def test_in_many_cells_most_neighbours_are_found(make_vectors, small_cells):
    vectors = make_vectors(2000, width=32, topics=50, spread=1.0)
    found, _ = find_neighbors(Distances(vectors, "euclidean"), 10)
    exact = np.argsort(-(vectors @ vectors.T), axis=1)[:, :10]
    recall = np.mean([len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]) / 10
    assert recall > 0.85


def test_where_fewer_are_found_the_rest_never_counts(make_vectors):
    _, apart = find_neighbors(Distances(make_vectors(5), "euclidean"), 8)
    assert np.isinf(apart[:, 5:]).all()
    assert np.isfinite(apart[:, :5]).all()
    gains = NearCoverage(make_vectors(5), "euclidean", np.ones(5, dtype=np.int64), number=8)
    assert sorted(order_of(gains, 5)) == list(range(5))


def test_similarities_below_the_last_neighbours_count_as_that(make_vectors):
    """Against plain greedy on the function as it is defined, with neighbours that are all found."""
    vectors = make_vectors(200)
    table = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    nearest = np.sort(table, axis=1)[:, 11]
    expected = []
    for _ in range(40):
        gain = np.maximum(0, nearest[:, None] - table).sum(axis=0).round(6)
        gain[expected] = -1
        expected.append(int(np.argmax(gain)))
        nearest = np.minimum(nearest, table[:, expected[-1]])
    gains = NearCoverage(vectors, "euclidean", np.ones(200, dtype=np.int64), number=12)
    assert order_of(gains, 40) == expected
    np.testing.assert_allclose(gains.nearest[expected[:-1]], 0, atol=1e-6)
    chosen = expected[:-1]
    assert gains.share_covered == np.mean([len(np.intersect1d(np.argsort(row)[:11], chosen)) > 0 for row in table])


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_the_choice_is_nearly_as_good_as_the_exact_one(make_vectors, small_cells, share):
    vectors, weights = make_vectors(1000, width=32, topics=30, spread=1.0), np.ones(1000, dtype=np.int64)
    count = int(share * 1000)
    similar = 2 - np.sqrt(np.maximum(0, 2 - 2 * vectors @ vectors.T))
    near = order_of(NearCoverage(vectors, "euclidean", weights, number=int(4 / share)), count)
    exact = order_of(Coverage(vectors, "euclidean", weights), count)
    random = np.random.default_rng(0).choice(1000, count, replace=False)
    reached, best, chance = (similar[:, each].max(axis=1).mean() for each in (near, exact, random))
    assert reached > best - 0.1 * (best - chance)


def test_the_same_vectors_give_the_same_choice(make_vectors, small_cells):
    vectors, weights = make_vectors(1000), np.ones(1000, dtype=np.int64)
    first, again = (order_of(NearCoverage(vectors, "cosine", weights, number=40), 50) for _ in range(2))
    assert first == again
