"""IFD and S-IFD of the copies of a row against loops over single tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench_plugins.tshirt.copies import Losses, differences, ifd, selective_ifd, spread, without_empty


def losses(copies: int = 4, tokens: int = 6) -> Losses:
    random = np.random.default_rng(3)
    return Losses(
        random.gamma(2, 2, (copies, tokens)).astype(np.float32),
        random.gamma(2, 2, (copies, tokens - 1)).astype(np.float32),
    )


def test_differences_leave_out_the_first_token_when_nothing_precedes_it() -> None:
    given = losses()
    expected = [
        [given.conditional[copy][token + 1] - given.alone[copy][token] for token in range(5)] for copy in range(4)
    ]
    np.testing.assert_array_equal(differences(given), np.float32(expected))


def test_ifd_of_the_authors_averages_each_pass_over_its_own_tokens() -> None:
    given = losses()
    for copy, found in enumerate(ifd(given, same_tokens=False)):
        above = math.exp(sum(map(float, given.conditional[copy])) / 6)
        below = math.exp(sum(map(float, given.alone[copy])) / 5)
        assert found == pytest.approx(above / below, rel=1e-12)


def test_ifd_over_the_same_tokens_is_a_ratio_of_perplexities_over_these() -> None:
    given = losses()
    for copy, found in enumerate(ifd(given, same_tokens=True)):
        above = math.exp(sum(map(float, given.conditional[copy][1:])) / 5)
        below = math.exp(sum(map(float, given.alone[copy])) / 5)
        assert found == pytest.approx(above / below, rel=1e-6)


def test_s_ifd_takes_only_tokens_strictly_above_the_threshold() -> None:
    delta = np.float32([[0.5, -0.5, 1.0, -2.0], [0.25, 0.5, -0.5, 0.125]])
    found = selective_ifd(delta, np.float64(0.5))
    assert found.num_kept.tolist() == [2, 0]
    np.testing.assert_allclose(found.values, [math.exp((1.0 - 2.0) / 2), 1.0])


def test_the_threshold_is_not_rounded_to_float32() -> None:
    value = np.float32(0.1)
    just_above, just_below = np.nextafter(np.float64(value), 1), np.nextafter(np.float64(value), 0)
    assert np.float32(just_above) == np.float32(just_below) == value
    assert selective_ifd(value.reshape(1, 1), just_above).num_kept[0] == 0
    assert selective_ifd(value.reshape(1, 1), just_below).num_kept[0] == 1


@pytest.mark.parametrize(("num_empty", "num_left"), [(0, 4), (2, 2), (3, 0), (4, 0)])
def test_a_row_has_no_s_ifd_when_more_than_half_of_its_copies_are_empty(num_empty: int, num_left: int) -> None:
    delta = np.float32([[0.0]] * num_empty + [[1.0]] * (4 - num_empty))
    assert np.isfinite(without_empty(selective_ifd(delta, np.float64(0.5)))).sum() == num_left


def test_the_spread_is_that_of_the_population_and_skips_copies_without_a_value() -> None:
    mean, std = spread(np.array([1.0, np.nan, 3.0]))
    assert (mean, std) == (2.0, 1.0)
    assert np.isnan(spread(np.full(2, np.nan))).all()
