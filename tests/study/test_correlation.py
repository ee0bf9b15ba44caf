"""Correlations against numpy, partial ones against residuals, and what is resampled together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench.study.correlation import Sets, correlations, sets_of
from sftbench.study.trials import Trial


def sets(values, names=("length", "entropy", "score"), groups=None):
    groups = np.arange(len(values)) if groups is None else groups
    return Sets(names=names, values=np.asarray(values, dtype=float), groups=groups)


def found(values, **options):
    return {(each.first, each.second): each for each in correlations(sets(values, **options), length="length")}


def drawn(num=80, seed=0):
    """Length drives both entropy and score, which have nothing else in common."""
    draw = np.random.default_rng(seed)
    length = draw.normal(size=num)
    return np.stack([length, length + draw.normal(size=num), 2 * length + draw.normal(size=num)], axis=1)


def test_r_is_pearsons():
    values = drawn()
    pair = found(values)["entropy", "score"]
    assert pair.r == pytest.approx(np.corrcoef(values[:, 1], values[:, 2])[0, 1])
    assert pair.low < pair.r < pair.high
    assert pair.num_sets == 80


def test_partial_is_the_correlation_of_what_the_length_leaves_over():
    values = drawn()
    rest = [column - np.polyval(np.polyfit(values[:, 0], column, 1), values[:, 0]) for column in values[:, 1:].T]
    pair = found(values)["entropy", "score"]
    assert pair.partial == pytest.approx(np.corrcoef(*rest)[0, 1])
    assert pair.r > 0.5
    assert pair.partial_low < 0 < pair.partial_high


def test_length_itself_has_nothing_left():
    assert math.isnan(found(drawn())["length", "score"].partial)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth = 2 / math.sqrt(2 * 5)
    held = 0
    for seed in range(40):
        pair = found(drawn(60, seed))["entropy", "score"]
        held += pair.low <= truth <= pair.high
    assert held >= 34


def test_copies_of_a_set_under_other_seeds_make_no_interval_narrower():
    values = drawn(12, seed=3)
    copied = np.repeat(values, 5, axis=0)
    alone = found(values)["entropy", "score"]
    together = found(copied, groups=np.repeat(np.arange(12), 5))["entropy", "score"]
    apart = found(copied)["entropy", "score"]
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert apart.high - apart.low < 0.7 * (together.high - together.low)


@pytest.mark.parametrize("values", [[[1, 2, 3]] * 3, [[1, 2, float(row)] for row in range(9)]])
def test_too_few_sets_and_columns_that_do_not_vary_have_none(values):
    assert math.isnan(found(values)["length", "entropy"].r)


def test_a_set_without_a_metric_is_left_out_of_its_pairs_alone():
    values = drawn(20)
    values[0, 1] = math.nan
    pairs = found(values)
    assert (pairs["entropy", "score"].num_sets, pairs["length", "score"].num_sets) == (19, 20)


def test_trainings_on_the_same_rows_are_one_set():
    def trial(label, seed, chosen, score):
        return Trial(
            series="s", label=label, budget="60", seed=seed, x=None, chosen=chosen, performance={"score": score},
            diversity={"response:length": 5.0},
        )  # fmt: skip

    trials = [trial("a", 0, "p", 1.0), trial("a", 1, "p", 3.0), trial("b", 0, "q", 5.0), trial("b", 1, "r", 7.0)]
    made = sets_of(trials, ["response:length", "response:missing"], ["score"])
    assert made.values[:, 2].tolist() == [2.0, 5.0, 7.0]
    assert np.isnan(made.values[:, 1]).all()
    assert made.groups[1] == made.groups[2] != made.groups[0]
