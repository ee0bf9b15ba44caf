"""Neighbours in samples, read off lists, against comparing every pair of each sample."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench_plugins.ds2 import neighbours as module
from sftbench_plugins.ds2.neighbours import Neighbours


def vectors_of(num_rows, *, seed=0):
    return np.random.default_rng(seed).normal(size=(num_rows, 7)).astype(np.float32)


def by_hand(vectors, sample, k):
    """Rows and distances of the k nearest within a sample of positions, in float64."""
    unit = vectors[sample % len(vectors)].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return (sample % len(vectors))[order], np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("share", [0.9, 0.4, 0.12, 0.05])
@pytest.mark.parametrize("held", [2**28, 2**12])
def test_a_samples_neighbours_are_those_that_comparing_all_of_it_finds(monkeypatch, copies, share, held):
    monkeypatch.setattr(module, "_HELD_BYTES", held)
    vectors = vectors_of(150)
    neighbours, draw = Neighbours(vectors=vectors, copies=copies), np.random.default_rng(3)
    assert len(neighbours) == 150 * copies
    for k in (3, 10, 3):
        size = max(k, int(share * len(neighbours)))
        sample = draw.choice(len(neighbours), size, replace=False)
        rows, distances = neighbours.within(sample, k)
        expected_rows, expected_distances = by_hand(vectors, sample, k)
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_allclose(distances, expected_distances, atol=1e-6)


def test_lists_that_are_too_short_for_some_rows_are_made_up_for(monkeypatch):
    monkeypatch.setattr(Neighbours, "_depth", lambda self, sample_size, k: k)
    vectors, draw = vectors_of(120), np.random.default_rng(0)
    sample = draw.choice(120, 60, replace=False)
    np.testing.assert_array_equal(Neighbours(vectors=vectors).within(sample, 10)[0], by_hand(vectors, sample, 10)[0])


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_everywhere_is_the_sample_of_all(copies):
    vectors = vectors_of(40)
    neighbours = Neighbours(vectors=vectors, copies=copies)
    rows, distances = neighbours.everywhere(10)
    expected_rows, expected_distances = by_hand(vectors, np.arange(40 * copies), 10)
    np.testing.assert_array_equal(rows, expected_rows[:40])
    np.testing.assert_allclose(distances, expected_distances[:40], atol=1e-6)


def test_each_row_is_first_in_its_own_list_and_lengths_of_vectors_do_not_matter():
    vectors = vectors_of(50) * np.random.default_rng(2).uniform(0.1, 8, size=(50, 1)).astype(np.float32)
    rows, distances = Neighbours(vectors=vectors).everywhere(4)
    assert rows[:, 0].tolist() == list(range(50))
    np.testing.assert_allclose(distances[:, 0], 0, atol=1e-6)
    np.testing.assert_array_equal(rows, by_hand(vectors, np.arange(50), 4)[0])


def test_a_hundred_samples_cost_one_comparison_of_all_pairs():
    neighbours, draw = Neighbours(vectors=vectors_of(200), copies=2), np.random.default_rng(0)
    for _ in range(100):
        neighbours.within(draw.choice(400, 360, replace=False), 10)
    assert 200**2 <= neighbours.num_products < 1.2 * 200**2
