"""Training noise: the common variance of many rows, and p values when one variance is known from few seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from sftbench.board.noise import TrainingNoise, fit_noise, inverse_trigamma, two_sided_p


def one_p(estimate: float, seed_variance: float, freedom: float, item_variance: float) -> float:
    arrays = (np.array([value]) for value in (estimate, seed_variance, freedom, item_variance))
    return float(two_sided_p(*arrays)[0])


@pytest.mark.parametrize("x", [0.01, 0.7, 1.0, 3.5, 400.0])
def test_the_inverse_of_trigamma_undoes_it(x: float) -> None:
    assert inverse_trigamma(float(special.polygamma(1, x))) == pytest.approx(x, rel=1e-8)


def test_rows_with_equal_noise_pool_almost_all_their_degrees_of_freedom() -> None:
    rng = np.random.default_rng(1)
    variances = 0.04 * rng.chisquare(2, 2000) / 2
    noise = fit_noise(variances, np.full(2000, 2.0))
    assert noise is not None
    assert noise.variance == pytest.approx(0.04, rel=0.1)
    assert noise.freedom > 20


def test_the_prior_of_scaled_inverse_chi_squares_is_recovered() -> None:
    rng = np.random.default_rng(2)
    truth = 0.5 * 6 / rng.chisquare(6, 20_000)
    noise = fit_noise(truth * rng.chisquare(4, 20_000) / 4, np.full(20_000, 4.0))
    assert noise is not None
    assert noise.freedom == pytest.approx(6, rel=0.15)
    assert noise.variance == pytest.approx(0.5, rel=0.05)


def test_two_rows_and_collapsed_rows_give_no_prior() -> None:
    assert fit_noise(np.array([0.1, 0.2]), np.array([2.0, 2.0])) is None
    assert fit_noise(np.array([0.1, 0.2, 0.0, 0.0]), np.array([2.0, 2.0, 2.0, 2.0])) is None
    assert fit_noise(np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 0.0])) is None


def test_a_moderated_variance_is_the_weighted_mean_and_never_has_more_freedom_than_there_is() -> None:
    noise = TrainingNoise(variance=1.0, freedom=4.0, limit=5.0)
    variance, freedom = noise.moderate(np.array([4.0]), np.array([2.0]), np.array([2.0]))
    assert variance[0] == pytest.approx((4 * 2 * 1.0 + 2 * 4.0) / 6)
    assert freedom[0] == 5.0


@pytest.mark.parametrize("freedom", [1.0, 2.0, 4.0, 30.0])
@pytest.mark.parametrize("estimate", [0.3, 2.0, 8.0, 60.0])
def test_p_without_item_variance_is_students(freedom: float, estimate: float) -> None:
    expected = 2 * stats.t.sf(estimate, freedom)
    assert one_p(estimate, 1.0, freedom, 0.0) == pytest.approx(expected, rel=1e-6, abs=1e-30)


@pytest.mark.parametrize("estimate", [0.0, 1.0, 3.0])
def test_p_without_seed_variance_is_normal(estimate: float) -> None:
    assert one_p(estimate, 0.0, np.inf, 1.0) == pytest.approx(2 * stats.norm.sf(estimate), rel=1e-6)


def test_p_of_a_sum_agrees_with_drawing_it() -> None:
    rng = np.random.default_rng(3)
    drawn = 0.7 * rng.standard_t(2, 1_000_000) + 0.5 * rng.standard_normal(1_000_000)
    for estimate in (0.5, 1.5, 4.0):
        assert one_p(estimate, 0.49, 2.0, 0.25) == pytest.approx(float(np.mean(np.abs(drawn) >= estimate)), rel=0.03)


def test_p_of_nothing_against_nothing_is_one_and_of_something_zero() -> None:
    assert one_p(0.0, 0.0, np.inf, 0.0) == 1.0
    assert one_p(0.1, 0.0, np.inf, 0.0) == 0.0
