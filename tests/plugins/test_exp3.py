"""EXP3 against its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench_plugins.exp3 import Exponential, RunningScale

OPEN = np.ones(3, dtype=bool)


def test_chances_and_weights_follow_the_formulas_written_out() -> None:
    share, number, weights = 0.2, 3, [1.0, 1.0, 1.0]
    arms, rng = Exponential(number, gamma=share), np.random.default_rng(5)
    for reward in (1.0, -1.0, 0.3, 0.0, -0.4, 1.0):
        wanted = [(1 - share) * weight / sum(weights) + share / number for weight in weights]
        assert arms.distribution(OPEN) == pytest.approx(wanted)
        arm = arms.draw(OPEN, rng)
        arms.learn(arm, reward)
        weights[arm] *= math.exp(share * reward / (number * wanted[arm]))
    assert arms.distribution(OPEN).sum() == pytest.approx(1)


def test_closed_arms_have_no_chance_and_the_others_share_it() -> None:
    arms = Exponential(3, gamma=0.1)
    arms.log_weights = np.array([0.0, 2.0, 500.0])
    half_open = np.array([True, True, False])
    wanted = [0.9 / (1 + math.e**2) + 0.05, 0.9 * math.e**2 / (1 + math.e**2) + 0.05, 0]
    assert arms.distribution(half_open) == pytest.approx(wanted)
    rng = np.random.default_rng(0)
    drawn = np.bincount([arms.draw(half_open, rng) for _ in range(4000)], minlength=3) / 4000
    assert drawn == pytest.approx(wanted, abs=0.03)


def test_a_scale_is_the_range_seen_so_far_and_0_without_one() -> None:
    scale = RunningScale()
    assert [scale.scaled(value) for value in (0.5, 0.5, 1.5, 1.0, -0.5, 1.5)] == pytest.approx([0, 0, 1, 0, -1, 1])
