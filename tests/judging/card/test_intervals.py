"""Intervals of shares and means against other people's statement of them, and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from sftbench.judging.card.intervals import mean, share


@pytest.mark.parametrize(("hits", "num"), [(0, 1), (0, 20), (3, 7), (50, 100), (99, 100), (100, 100)])
def test_the_interval_of_a_share_is_wilsons(hits, num):
    expected = binomtest(hits, num).proportion_ci(method="wilson")
    found = share(hits, num)
    assert (found.value, found.low, found.high) == pytest.approx((hits / num, expected.low, expected.high), abs=1e-12)


def test_nothing_has_no_share_and_no_mean():
    assert np.isnan(share(0, 0).value)
    assert np.isnan(mean(np.array([np.nan]), widest=0.5).value)


def test_a_mean_without_any_scatter_has_an_interval_all_the_same():
    found = mean(np.full(50, 1.0), widest=0.5)
    assert found.value == 1.0
    assert found.low < 0.99


@pytest.mark.parametrize("chance", [0.5, 0.8, 0.95])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(chance):
    draw = np.random.default_rng(3)
    inside = 0
    for _ in range(1000):
        found = mean((draw.random(100) < chance).astype(float), widest=0.5)
        inside += found.low <= chance <= found.high
    assert 0.93 <= inside / 1000 <= 0.98
