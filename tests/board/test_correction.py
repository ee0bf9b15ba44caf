"""Win rates corrected for a judge that errs: the interval holds the truth where the raw one does not."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench.board.correction import NORMAL_95, GoldPreference, corrected, fieller
from sftbench.board.statistics import Estimate
from sftbench.judging.card.intervals import mean


def estimate(value, low, high):
    return Estimate(mean=value, low=low, high=high, num_seeds=1, num_items=100, num_failed_items=0)


def test_fiellers_bounds_are_the_ratios_that_the_data_do_not_refuse():
    """Straight from the definition, on a fine grid of ratios."""
    top, top_error, bottom, bottom_error = 0.12, 0.02, 0.6, 0.08
    ratios = np.linspace(-1, 1, 2_000_001)
    distance = np.abs(top - ratios * bottom)
    accepted = ratios[distance <= NORMAL_95 * np.sqrt(top_error**2 + (ratios * bottom_error) ** 2)]
    assert fieller(top, top_error, bottom, bottom_error) == pytest.approx((accepted[0], accepted[-1]), abs=2e-6)


def test_a_judge_without_error_changes_nothing():
    raw = estimate(61.0, 57.0, 65.0)
    found = corrected(raw, GoldPreference(value=100.0, low=100.0, high=100.0, num=100)).estimate
    assert (found.mean, found.low, found.high) == pytest.approx((61.0, 57.0, 65.0))


def test_errors_on_both_sides_are_taken_back():
    """A judge that prefers the better answer by 0.8 turns a true 70 into 0.2 + 0.6 x 0.7 = 62 percent."""
    exact = GoldPreference(value=80.0, low=80.0, high=80.0, num=10**6)
    found = corrected(estimate(62.0, 59.0, 65.0), exact).estimate
    assert (found.mean, found.low, found.high) == pytest.approx((70.0, 65.0, 75.0))


def test_swapping_model_and_baseline_mirrors_the_interval():
    agreement = GoldPreference(value=77.0, low=69.0, high=85.0, num=100)
    one, other = (corrected(estimate(*each), agreement).estimate for each in ((58, 54, 62), (42, 38, 46)))
    assert one.mean + other.mean == pytest.approx(100)
    assert (one.low + other.high, one.high + other.low) == pytest.approx((100, 100))


@pytest.mark.parametrize(
    ("raw", "agreement", "why"),
    [
        ((55, 51, 59), (52, 43, 61), "chance"),
        ((55, 51, 59), (30, 20, 40), "chance"),
        ((95, 93, 97), (75, 70, 80), "one-sided"),
        ((5, 3, 7), (75, 70, 80), "one-sided"),
        ((55, None, None), (80, 70, 90), "no interval"),
    ],
)
def test_what_cannot_be_told_has_a_reason_and_no_value(raw, agreement, why):
    value, low, high = agreement
    found = corrected(estimate(*raw), GoldPreference(value=value, low=low, high=high, num=100))
    assert (found.estimate, found.why) == (None, why)


def test_the_corrected_interval_is_wider_than_the_raw_one():
    found = corrected(estimate(58, 55, 61), GoldPreference(value=80, low=72, high=88, num=100)).estimate
    assert found.high - found.low > 6 / 0.6
    assert 0 <= found.low < found.mean < found.high <= 100


def judged(draw, truth, right, ties):
    """What a judge says of items whose truth is 1, 0.5 or 0: right in `right` of those it names; `ties` are ties."""
    lucky = np.where(draw.random(len(truth)) < right, truth, 1 - truth)
    guess = (draw.random(len(truth)) < 0.5).astype(float)
    named = np.where(truth == 0.5, guess, lucky)
    return np.where(draw.random(len(truth)) < ties, 0.5, named)


CASES = {
    # right, ties, true win rate without ties, true ties, items, gold pairs, coverage of the raw interval
    "a good judge": (0.9, 0.0, 0.75, 0.0, 400, 100, 0.5),
    "a middling judge": (0.8, 0.0, 0.65, 0.0, 805, 100, 0.2),
    "with ties on both sides": (0.85, 0.3, 0.7, 0.1, 805, 100, 0.2),
    "a poor judge with many gold pairs": (0.7, 0.0, 0.65, 0.0, 805, 400, 0.2),
}


@pytest.mark.parametrize("case", CASES)
def test_the_corrected_interval_holds_the_truth_and_the_raw_one_does_not(case):
    """1,000 judges, each checked on its own gold pairs and asked about its own items."""
    right, ties, wins, true_ties, num_items, num_gold, most_raw = CASES[case]
    draw = np.random.default_rng(5)
    target = 100 * (true_ties / 2 + (1 - true_ties) * wins)
    inside = raw_inside = 0
    for _ in range(1000):
        truth = np.where(draw.random(num_items) < true_ties, 0.5, (draw.random(num_items) < wins).astype(float))
        said = 100 * judged(draw, truth, right, ties)
        half = NORMAL_95 * said.std(ddof=1) / num_items**0.5
        raw = estimate(said.mean(), said.mean() - half, said.mean() + half)
        card = mean(judged(draw, np.ones(num_gold), right, ties), widest=0.5).percent()
        found = corrected(raw, GoldPreference(value=card.value, low=card.low, high=card.high, num=num_gold))
        inside += found.estimate is None or found.estimate.low <= target <= found.estimate.high
        raw_inside += raw.low <= target <= raw.high
    assert 0.93 <= inside / 1000 <= 0.97
    assert raw_inside / 1000 < most_raw


def test_a_judge_at_chance_is_hardly_ever_taken_for_one_that_can_tell():
    draw = np.random.default_rng(6)
    told = 0
    for _ in range(1000):
        card = mean(judged(draw, np.ones(100), 0.5, 0.0), widest=0.5).percent()
        agreement = GoldPreference(value=card.value, low=card.low, high=card.high, num=100)
        told += corrected(estimate(52, 49, 55), agreement).estimate is not None
    assert told / 1000 < 0.04
