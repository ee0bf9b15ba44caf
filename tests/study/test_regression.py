"""The Bayesian line against least squares, against the evidence maximised by other means, and where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from sftbench.study.regression import fit_line

X = np.linspace(0, 100, 7)


def log_evidence(logs, x, y):
    """Of a slope with prior N(0, 1 / lam) and noise of precision beta, both centred."""
    lam, beta = np.exp(logs)
    x, y = x - x.mean(), y - y.mean()
    whole = lam + beta * x @ x
    return 0.5 * (
        len(x) * np.log(beta / (2 * np.pi)) + np.log(lam / whole) - beta * y @ y + (beta * x @ y) ** 2 / whole
    )


def test_with_seven_points_it_is_near_least_squares():
    y = 0.0535 * X + np.random.default_rng(0).normal(size=7)
    line = fit_line(X, y)
    assert line.slope == pytest.approx(0.0601, abs=5e-5)
    assert line.ols_slope == pytest.approx(0.0607, abs=5e-5)
    assert line.ols_slope == pytest.approx(np.polyfit(X, y, 1)[0])
    assert line.p_positive > 0.999


@pytest.mark.parametrize("seed", range(6))
def test_its_precisions_are_those_of_the_largest_evidence(seed):
    draw = np.random.default_rng(seed)
    x = draw.uniform(0, 100, 21)
    y = 3 + 0.05 * x + draw.normal(size=21)
    line = fit_line(x, y)
    start = np.log([1 / line.ols_slope**2, 1.0])
    best = minimize(lambda logs: -log_evidence(logs, x, y), start, method="BFGS", options={"gtol": 1e-9})
    lam, beta = np.exp(best.x)
    square = ((x - x.mean()) ** 2).sum()
    product = (x - x.mean()) @ (y - y.mean())
    assert line.noise == pytest.approx(beta**-0.5, rel=1e-3)
    assert line.slope == pytest.approx(beta * product / (lam + beta * square), rel=1e-3)
    assert line.sd == pytest.approx((lam + beta * square) ** -0.5, rel=1e-3)


def test_its_band_is_narrowest_in_the_middle_and_wider_for_new_values():
    y = 2 + 0.05 * X + np.random.default_rng(1).normal(size=7)
    line = fit_line(X, y)
    band = line.band(X)
    assert np.argmin(band) == 3
    assert band[3] == pytest.approx(line.noise / math.sqrt(7))
    assert band[0] == pytest.approx(math.hypot(line.noise / math.sqrt(7), 50 * line.sd))
    assert line.band(X, predictive=True) == pytest.approx(np.hypot(band, line.noise))
    assert line.at(np.array([50.0]))[0] == pytest.approx(y.mean())


def test_shuffled_levels_give_no_slope():
    draw = np.random.default_rng(2)
    chances, slopes = [], []
    for _ in range(200):
        line = fit_line(X, draw.permutation(0.05 * X) + draw.normal(size=7))
        slopes.append(line.slope)
        chances.append(line.p_positive)
    assert abs(np.mean(slopes)) < 0.006
    assert 0.4 < np.mean(chances) < 0.6


def test_where_the_evidence_wants_no_slope_it_says_so():
    y = np.array([1.0, -1.0, 1.0, 0.0, 1.0, -1.0, 1.0])
    line = fit_line(X, y)
    assert line.slope == pytest.approx(0, abs=1e-8)
    assert line.note == "evidence_for_no_slope"
    assert line.p_positive == pytest.approx(0.5, abs=0.01)
    assert line.ols_sd > 0


def test_points_on_a_line_are_a_line():
    line = fit_line([0, 1, 2, 3], [1, 3, 5, 7])
    assert line.slope == pytest.approx(2, rel=1e-6)
    assert line.at(np.array([10.0]))[0] == pytest.approx(21, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "note"),
    [([5, 5, 5, 5], [1, 2, 3, 4], "no_variation"), ([1, 2], [1, 2], "too_few_samples"), ([], [], "too_few_samples")],
)
def test_without_variation_or_points_there_is_none(x, y, note):
    line = fit_line(x, y)
    assert math.isnan(line.slope)
    assert line.note == note


def test_points_that_are_not_finite_are_left_out():
    whole = fit_line([0, 1, 2, 3, 4], [0, 1, 2.5, 2.5, 4])
    assert fit_line([0, 1, 2, 9, 3, 4, math.nan], [0, 1, 2.5, math.nan, 2.5, 4, 1]) == whole


@pytest.mark.parametrize("value", [0.0, 0.1, 52.2])
def test_where_all_values_are_one_value_the_evidence_is_for_no_slope(value):
    line = fit_line([0, 1, 2], [value] * 3)
    assert (line.slope, line.sd, line.ols_slope, line.noise) == (0, 0, 0, 0)
    assert (line.note, line.p_positive) == ("evidence_for_no_slope", 0.5)
    assert line.at(np.array([1.5])) == pytest.approx(value)
    assert line.band(np.array([1.5])) == 0
