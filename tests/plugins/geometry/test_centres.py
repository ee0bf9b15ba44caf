"""The order of k-center greedy against a plain loop, and its radius against every choice there is."""

from __future__ import annotations

from itertools import combinations, islice

import numpy as np
import pytest

from sftbench_plugins.geometry import centres
from sftbench_plugins.geometry.centres import Farthest


def by_loop(vectors, first, count):
    """One distance after the other in double precision; of equals the first."""
    wide = vectors.astype(np.float64)
    nearest = np.full(len(wide), np.inf)
    order, distances, at = [], [], first
    for _ in range(count):
        order.append(at)
        distances.append(nearest[at])
        nearest = np.minimum(nearest, np.linalg.norm(wide - wide[at], axis=1))
        nearest[at] = -1
        at = int(np.argmax(nearest))
    return order, distances


def taken(vectors, first, count):
    return [list(each) for each in zip(*islice(Farthest(vectors, first), count), strict=True)]


@pytest.mark.parametrize("spread", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("first", [0, 57])
def test_the_order_is_that_of_a_plain_loop(make_vectors, spread, first):
    vectors = make_vectors(300, spread=spread)
    order, distances = taken(vectors, first, 300)
    expected_order, expected = by_loop(vectors, first, 300)
    assert order == expected_order
    assert distances[0] == np.inf
    np.testing.assert_allclose(distances[1:], expected[1:], rtol=1e-4)


def test_vectors_need_not_have_length_one():
    vectors = (np.random.default_rng(0).normal(size=(200, 8)) * 50).astype(np.float32)
    assert taken(vectors, 3, 60)[0] == by_loop(vectors, 3, 60)[0]


def test_points_that_nearly_coincide_are_told_apart():
    draw = np.random.default_rng(1)
    cluster = np.ones(8) / np.sqrt(8) + 1e-4 * draw.normal(size=(80, 8))
    vectors = np.concatenate([cluster, -cluster[:1]]).astype(np.float32)
    assert taken(vectors, 0, 81)[0] == by_loop(vectors, 0, 81)[0]


@pytest.mark.parametrize("at_once", [1, 2, 7, 64])
def test_how_many_points_are_tried_ahead_changes_no_order(make_vectors, monkeypatch, at_once):
    vectors = make_vectors(200)
    monkeypatch.setattr(centres, "_MOST_COLUMNS", at_once)
    assert taken(vectors, 5, 200)[0] == by_loop(vectors, 5, 200)[0]


def test_equal_points_come_last_and_in_order(make_vectors):
    once = make_vectors(20)
    vectors = np.concatenate([once, once[[4, 2, 2]], once[:5]])
    order, distances = taken(vectors, 21, 28)
    assert {*order[:20]} == {21, *range(20)} - {2}
    assert order[20:] == [2, 20, 22, 23, 24, 25, 26, 27]
    assert distances[20:] == [0.0] * 8
    assert min(distances[1:20]) > 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_radius_is_at_most_twice_the_smallest_possible(make_vectors, seed, count):
    vectors = make_vectors(11, width=3, topics=4, seed=seed)
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    smallest = min(apart[:, list(some)].min(axis=1).max() for some in combinations(range(11), count))
    order, distances = taken(vectors, seed, count + 1)
    radius = apart[:, order[:count]].min(axis=1).max()
    assert radius <= 2 * smallest + 1e-6
    assert distances[count] == pytest.approx(radius, rel=1e-5)


def test_one_point_is_a_pool(make_vectors):
    assert taken(make_vectors(1), 0, 5) == [[0], [np.inf]]
