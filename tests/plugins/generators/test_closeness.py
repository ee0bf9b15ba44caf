"""Nearness to real rows against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench_plugins.generators.closeness import Closeness, Kept


@pytest.fixture
def vectors():
    drawn = np.random.default_rng(0).normal(size=(1300, 16)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [1, 5])
def test_it_is_the_mean_of_the_largest_cosines(vectors, count):
    real, new = vectors[:700], vectors[700:]
    expected = [np.sort(real.astype(float) @ each)[-count:].mean() for each in new.astype(float)]
    np.testing.assert_allclose(Closeness(real=real, num_neighbours=count).of(new), expected, rtol=1e-5)


def test_the_calibrated_threshold_is_the_fifth_percentile_of_real_nearest_neighbours(vectors):
    cosines = vectors.astype(float) @ vectors.T.astype(float)
    np.fill_diagonal(cosines, -np.inf)
    expected = np.percentile(cosines.max(axis=1), 5)
    assert Closeness(real=vectors).threshold(np.random.default_rng(0)) == pytest.approx(expected, rel=1e-5)


def test_a_large_pool_is_calibrated_on_some_of_its_rows(vectors, monkeypatch):
    monkeypatch.setattr("sftbench_plugins.generators.closeness.MAX_QUERIES", 400)
    whole = np.percentile(np.sort(vectors @ vectors.T, axis=1)[:, -2], 5)
    drawn = Closeness(real=vectors).threshold(np.random.default_rng(0))
    assert drawn == pytest.approx(whole, abs=0.03)
    assert drawn == Closeness(real=vectors).threshold(np.random.default_rng(0))


def test_equal_real_rows_are_each_others_neighbours_and_a_single_one_has_none(vectors):
    twice = np.concatenate([vectors[:3], vectors[:3]])
    assert Closeness(real=twice).threshold(np.random.default_rng(0)) == pytest.approx(1)
    assert Closeness(real=vectors[:1]).threshold(np.random.default_rng(0)) == -1


def test_what_is_not_finite_is_left_out_of_the_real_rows_and_has_no_nearness(vectors):
    broken = vectors[:10].copy()
    broken[4] = np.nan
    closeness = Closeness(real=broken)
    assert len(closeness.real) == 9
    new = vectors[20:23].copy()
    new[1, 3] = np.inf
    found = closeness.of(new)
    assert np.isfinite(found[[0, 2]]).all()
    assert not np.isfinite(found[1])


def test_near_duplicates_are_those_of_a_loop_over_pairs(vectors):
    crowded = np.concatenate([vectors[:400], vectors[:300] + 0.05 * vectors[400:700]])
    crowded /= np.linalg.norm(crowded, axis=1, keepdims=True)
    expected: list[int] = []
    for at, vector in enumerate(crowded):
        if all(float(crowded[other] @ vector) <= 0.8 for other in expected):
            expected.append(at)
    kept = Kept(cap=0.8)
    assert [at for at, vector in enumerate(crowded) if kept.admits(vector)] == expected
    assert 350 < len(expected) < 700


def test_a_cap_of_one_keeps_all(vectors):
    kept = Kept(cap=1.001)
    assert all(kept.admits(vector) for vector in np.repeat(vectors[:5], 60, axis=0))
