"""The embedding distance against all pairs, against its closed form for squares, and against repeated draws."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from sftbench.diversity import distance
from sftbench.diversity.distance import embedding_distance, squared_distances


def unit(num, width=16, *, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(num, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measured(vectors, **options):
    return embedding_distance(vectors, tokens=0, seed=0, **options)


def test_it_is_the_mean_over_ordered_pairs():
    vectors = unit(30).astype(np.float64)
    wanted = np.mean([np.linalg.norm(one - other) for one, other in permutations(vectors, 2)])
    assert measured(unit(30)).value == pytest.approx(wanted, abs=1e-6)


def test_its_squares_have_the_closed_form():
    vectors = unit(700, seed=1)
    total = sum(block.sum(dtype=np.float64) for block in squared_distances(vectors))
    exact = vectors.astype(np.float64)
    n = len(exact)
    closed = 2 / (n - 1) * ((exact**2).sum() - (exact.sum(axis=0) ** 2).sum() / n)
    assert total / (n * (n - 1)) == pytest.approx(closed, rel=1e-6)


def test_orthogonal_vectors_are_at_the_root_of_two():
    found = measured(np.eye(12, dtype=np.float32))
    assert found.value == pytest.approx(math.sqrt(2))
    assert found.ci_hi - found.ci_lo == pytest.approx(0, abs=1e-6)


def test_the_same_vector_everywhere_has_no_distance():
    assert measured(np.tile(unit(1), (9, 1))).value == pytest.approx(0, abs=1e-3)


def test_random_pairs_of_a_large_set_agree_with_all_pairs(monkeypatch):
    vectors = unit(800, seed=2)
    exact = measured(vectors)
    monkeypatch.setattr(distance, "EXACT_ROWS", 700)
    sampled = measured(vectors)
    error = (sampled.ci_hi - sampled.ci_lo) / 2 / 1.96
    assert abs(sampled.value - exact.value) < 4 * error
    assert 0 < error < 1e-3
    assert "random_pairs" in sampled.note


def test_the_error_is_near_the_spread_of_repeated_draws():
    # Few dimensions, so that rows differ in how far out they lie.
    found = [measured(np.random.default_rng(seed).normal(size=(60, 2)).astype(np.float32)) for seed in range(80)]
    spread = np.std([each.value for each in found], ddof=1)
    claimed = np.mean([(each.ci_hi - each.ci_lo) / 2 / 2.0 for each in found])
    assert 0.8 * spread < claimed < 1.25 * spread


def test_the_printed_formula_divides_by_n_alone():
    assert measured(unit(10), mode="paper_literal").value == pytest.approx(9 * measured(unit(10)).value)


def test_vectors_that_are_not_finite_are_left_out_and_counted():
    vectors = unit(10)
    vectors[3] = np.nan
    found = measured(vectors)
    assert found.value == pytest.approx(measured(np.delete(unit(10), 3, axis=0)).value)
    assert (found.n, found.note) == (9, "non_finite: 1")


@pytest.mark.parametrize("num", [0, 1])
def test_fewer_than_two_rows_have_none(num):
    found = measured(unit(num) if num else np.empty((0, 4), dtype=np.float32))
    assert math.isnan(found.value)
    assert found.note == "too_few_samples"
