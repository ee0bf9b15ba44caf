"""The bandits against the formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench_plugins.tokentune.bandit import Exp3, Thompson, Ucb, fresh_bandit

OPEN = np.ones(3, dtype=bool)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_the_mean_of_an_arm_is_that_of_all_its_samples() -> None:
    arms = Ucb(3, rng=rng(), gamma=0.1)
    arms.reward(1, np.array([0.5, 0.7]))
    arms.reward(1, np.array([0.0, 0.1, 0.2]))
    arms.reward(1, np.array([]))
    assert arms.counts.tolist() == [0, 5, 0]
    assert arms.means[1] == pytest.approx(1.5 / 5)


def test_the_upper_bound_counts_samples_and_an_unseen_arm_comes_first() -> None:
    arms = Ucb(3, rng=rng(), gamma=0.5)
    arms.reward(0, np.array([0.4, 0.6]))
    arms.reward(2, np.full(8, 0.7))
    assert arms.bounds()[1] == math.inf
    assert arms.choose(OPEN) == 1
    assert arms.bounds()[0] == pytest.approx(0.5 + 0.5 * math.sqrt(2 * math.log(10) / 2))
    assert arms.bounds()[2] == pytest.approx(0.7 + 0.5 * math.sqrt(2 * math.log(10) / 8))
    assert arms.choose(np.array([True, False, True])) == 0
    assert arms.choose(np.array([False, False, True])) == 2


def test_exp3_follows_its_weights_written_out() -> None:
    share, number = 0.2, 3
    arms = Exp3(number, rng=rng(), gamma=share)
    weights, low, high = [1.0] * number, math.inf, -math.inf
    for utilities in ([0.3], [0.9, 0.5], [-0.2], [0.4], [0.4, 0.8]):
        wanted = [(1 - share) * weight / sum(weights) + share / number for weight in weights]
        assert arms.arms.distribution(OPEN) == pytest.approx(wanted)
        arm = arms.choose(OPEN)
        arms.reward(arm, np.array(utilities))
        reward = sum(utilities) / len(utilities)
        low, high = min(low, reward), max(high, reward)
        scaled = 2 * (reward - low) / (high - low) - 1 if high > low else 0.0
        weights[arm] *= math.exp(share * scaled / (number * wanted[arm]))
    assert arms.arms.distribution(OPEN).sum() == pytest.approx(1)


def test_exp3_leaves_closed_arms_out_and_draws_by_its_probabilities() -> None:
    arms = Exp3(3, rng=rng(), gamma=0.1)
    arms.arms.log_weights = np.array([0.0, 2.0, 5.0])
    half_open = np.array([True, True, False])
    wanted = [0.9 / (1 + math.e**2) + 0.05, 0.9 * math.e**2 / (1 + math.e**2) + 0.05, 0]
    assert arms.arms.distribution(half_open) == pytest.approx(wanted)
    drawn = np.bincount([arms.choose(half_open) for _ in range(4000)], minlength=3) / 4000
    assert drawn == pytest.approx(wanted, abs=0.03)


def test_a_pilot_scales_the_rewards_of_exp3_over_all_arms_at_once() -> None:
    arms = Exp3(3, rng=rng(), gamma=0.3)
    arms.warm([np.array([0.5, 0.5]), np.array([0.0]), np.array([1.0])])
    assert arms.arms.log_weights == pytest.approx([0, -0.3, 0.3])


def test_thompson_draws_have_the_mean_and_the_spread_of_each_arm() -> None:
    arms = Thompson(2, rng=rng())
    first, second = np.array([0.0, 0.2, 0.4, 0.6]), np.array([0.35, 0.45])
    arms.reward(0, first)
    arms.reward(1, second)
    pooled = math.sqrt((((first - 0.3) ** 2).sum() + ((second - 0.4) ** 2).sum()) / 4)
    assert arms.deviation() == pytest.approx(pooled)
    wins = np.mean([arms.choose(OPEN[:2]) for _ in range(6000)])
    difference = 0.1 / (pooled * math.sqrt(1 / 4 + 1 / 2))
    assert wins == pytest.approx(0.5 * (1 + math.erf(difference / math.sqrt(2))), abs=0.02)


def test_chance_draws_open_arms_alike() -> None:
    arms = fresh_bandit("random", 3, rng=rng(), gamma=0.0, exp3_gamma=0.1)
    drawn = np.bincount([arms.choose(np.array([True, False, True])) for _ in range(2000)], minlength=3)
    assert drawn[1] == 0
    assert drawn[0] == pytest.approx(1000, abs=120)
