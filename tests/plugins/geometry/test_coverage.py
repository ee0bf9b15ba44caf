"""Lazy facility location against greedy by a plain loop, and against every choice there is."""

from __future__ import annotations

from itertools import combinations, islice, pairwise

import numpy as np
import pytest

from sftbench_plugins.geometry import coverage, distances
from sftbench_plugins.geometry.coverage import Coverage, lazy_greedy
from sftbench_plugins.geometry.distances import FARTHEST

KINDS = sorted(FARTHEST)


def apart(vectors, kind):
    """Distances by their definition, in double precision, from vectors brought to length one."""
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    if kind == "cosine":
        return np.maximum(0, 1 - wide @ wide.T)
    euclidean = np.linalg.norm(wide[:, None] - wide[None], axis=2)
    return euclidean if kind == "euclidean" else 1 - np.exp(-euclidean / vectors.shape[1])


def by_loop(vectors, kind, weights, count):
    """Plain greedy: every gain made anew at every step; of equal gains the first."""
    table = apart(vectors, kind)
    nearest = np.full(len(vectors), FARTHEST[kind])
    order, gains = [], []
    for _ in range(count):
        gain = (np.maximum(0, nearest[:, None] - table) * weights[:, None]).sum(axis=0).round(9)
        gain[order] = -1
        order.append(int(np.argmax(gain)))
        gains.append(gain[order[-1]])
        nearest = np.minimum(nearest, table[:, order[-1]])
    return order, gains


def taken(gains, count):
    return [list(each) for each in zip(*islice(lazy_greedy(gains), count), strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most_pairs", [0, 500, 4000, 10**6])
def test_the_order_and_the_gains_are_those_of_plain_greedy(make_vectors, kind, most_pairs):
    vectors = make_vectors(150)
    weights = np.random.default_rng(0).integers(1, 4, 150)
    order, gains = taken(Coverage(vectors, kind, weights, most_pairs=most_pairs), 150)
    expected_order, expected = by_loop(vectors, kind, weights, 150)
    assert order == expected_order
    np.testing.assert_allclose(gains, expected, atol=1e-6)
    assert all(now <= before + 1e-6 for before, now in pairwise(gains))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most_pairs", [0, 20_000, 10**6])
def test_single_precision_takes_the_same_points(make_vectors, monkeypatch, kind, most_pairs):
    monkeypatch.setattr(distances, "_FEW", 0)
    vectors, weights = make_vectors(600, width=32, topics=30, spread=1.0), np.ones(600, dtype=np.int64)
    order, gains = taken(Coverage(vectors, kind, weights, most_pairs=most_pairs), 60)
    expected_order, expected = by_loop(vectors, kind, weights, 60)
    assert order == expected_order
    np.testing.assert_allclose(gains, expected, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_guess_of_the_first_point_changes_nothing(make_vectors, monkeypatch, kind):
    vectors, weights = make_vectors(150), np.ones(150, dtype=np.int64)
    expected = by_loop(vectors, kind, weights, 30)[0]
    wrong = next(at for at in range(150) if at != expected[0])
    looked = Coverage._look
    monkeypatch.setattr(Coverage, "_look", lambda self: (wrong, looked(self)[1]))
    assert taken(Coverage(vectors, kind, weights, most_pairs=0), 30)[0] == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_it_reaches_most_of_the_best_there_is(make_vectors, kind, seed):
    vectors = make_vectors(12, width=4, topics=4, spread=1.0, seed=seed)
    similarity = FARTHEST[kind] - apart(vectors, kind)
    for count in (1, 2, 3, 5):
        best = max(similarity[:, list(some)].max(axis=1).sum() for some in combinations(range(12), count))
        order, gains = taken(Coverage(vectors, kind, np.ones(12, dtype=np.int64)), count)
        reached = similarity[:, order].max(axis=1).sum()
        assert reached >= (1 - 1 / np.e) * best
        assert sum(gains) == pytest.approx(reached)


def test_a_point_of_weight_two_is_two_points(make_vectors):
    once = make_vectors(40)
    weights = np.ones(40, dtype=np.int64)
    weights[:10] = 2
    twice = np.concatenate([once, once[:10]])
    weighted = taken(Coverage(once, "euclidean", weights), 20)[0]
    assert weighted == taken(Coverage(twice, "euclidean", np.ones(50, dtype=np.int64)), 20)[0]


def test_how_near_points_are_is_known_at_every_step(make_vectors):
    vectors, weights = make_vectors(100), np.ones(100, dtype=np.int64)
    table = apart(vectors, "euclidean")
    for most_pairs in (0, 3000, 10**6):
        gains, order = Coverage(vectors, "euclidean", weights, most_pairs=most_pairs), []
        for at, _ in islice(lazy_greedy(gains), 30):
            if order:
                np.testing.assert_allclose(gains.nearest, table[:, order].min(axis=1), atol=1e-6)
            order.append(at)


@pytest.mark.parametrize("most_pairs", [0, 40_000])
def test_few_gains_are_made_anew(make_vectors, monkeypatch, most_pairs):
    monkeypatch.setattr(coverage, "_BATCH", 1)
    vectors = make_vectors(1000, width=32, topics=60)
    gains = Coverage(vectors, "euclidean", np.ones(1000, dtype=np.int64), most_pairs=most_pairs)
    taken(gains, 100)
    looks = gains.flops / (2 * vectors.size * len(vectors))
    assert looks < 9, "plain greedy looks at all distances 100 times"


def test_the_pairs_that_are_kept_have_a_limit(make_vectors):
    vectors = make_vectors(400, width=32, topics=40)
    gains = Coverage(vectors, "euclidean", np.ones(400, dtype=np.int64), most_pairs=5000)
    for _ in islice(lazy_greedy(gains), 100):
        assert gains._kept.num_pairs <= 1.2 * 5000
    assert len(gains._kept) >= 300
