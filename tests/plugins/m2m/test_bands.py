"""The mid band under the four ways of scaling its thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench_plugins.m2m.bands import Band, BandKind, find_band

COUNTS = np.array([0, 1, 2, 3, 9, 10, 11, 499, 500, 501, 20_000])
HOLDERS = np.array([0, 1, 1, 2, 5, 6, 7, 200, 250, 251, 9_000])


def band(kind: BandKind, num_rows: int, counts: np.ndarray = COUNTS, holders: np.ndarray = HOLDERS) -> Band:  # type: ignore[type-arg]
    return find_band(kind, (10, 500), occurrences=counts, num_holders=holders, num_rows=num_rows)


def test_the_band_of_the_paper_holds_types_that_occur_10_to_500_times_in_117k_rows() -> None:
    found = band("per_doc", 117_000)
    assert found == Band(kind="per_doc", low=10, high=500)
    assert COUNTS[found.holds(COUNTS)].tolist() == [10, 11, 499, 500]


@pytest.mark.parametrize(("num_rows", "low", "high"), [(234_000, 20, 1000), (23_000, 2, 98), (1_500, 2, 6), (20, 2, 3)])
def test_thresholds_follow_the_number_of_rows_down_to_a_floor(num_rows: int, low: int, high: int) -> None:
    assert band("per_doc", num_rows) == Band(kind="per_doc", low=low, high=high)


def test_absolute_thresholds_do_not_follow_anything() -> None:
    assert band("absolute", 50) == Band(kind="absolute", low=10, high=500)


def test_per_token_thresholds_double_with_the_tokens() -> None:
    counts = np.array([46_000_000])
    assert band("per_token", 1, counts, counts) == Band(kind="per_token", low=10, high=500)
    assert band("per_token", 1, 2 * counts, counts) == Band(kind="per_token", low=20, high=1000)


def test_the_calibrated_upper_threshold_brings_the_mean_nearest_to_twenty_types_per_row() -> None:
    draw = np.random.default_rng(0)
    counts = np.sort(draw.integers(0, 400, 500))
    holders = np.maximum(counts // 2, counts > 0)
    num_rows = 700
    means = {
        high: holders[(counts >= 2) & (counts <= high)].sum() / num_rows for high in range(3, int(counts.max()) + 1)
    }
    found = band("calibrated", num_rows, counts, holders)
    assert found.low == 2
    assert abs(means[found.high] - 20) == min(abs(mean - 20) for mean in means.values())


def test_by_default_small_pools_are_calibrated_and_large_ones_scaled() -> None:
    assert band("auto", 11_700) == band("per_doc", 11_700)
    assert band("auto", 11_699) == band("calibrated", 11_699)
