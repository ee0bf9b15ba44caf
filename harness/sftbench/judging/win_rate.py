"""The raw win rate: the mean preference, with its interval over prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftbench.judging.resampling import Floats, Interval, interval, weighted_means

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """`rate` in 0 to 1; `discrete` counts wins as 1 and ties as 0.5, whatever the strength of the preference."""

    rate: Interval
    discrete: float
    num_wins: int
    num_losses: int
    num_ties: int


def win_rate(preferences: Floats, draws: Floats | None) -> WinRate:
    """From the preferences [n] of one model. `draws` [B, n] says how often each prompt is in each bootstrap draw.

    Without draws the standard error is sd / sqrt(n) (sd with n - 1), as alpaca_eval reports it, and the bounds are
    1.96 of it away.
    """
    value = float(preferences.mean()) if len(preferences) else float("nan")
    wins, losses = int((preferences > 0.5).sum()), int((preferences < 0.5).sum())
    ties = len(preferences) - wins - losses
    return WinRate(
        rate=normal_interval(value, preferences)
        if draws is None
        else interval(value, weighted_means(draws, preferences)),
        discrete=(wins + 0.5 * ties) / len(preferences) if len(preferences) else float("nan"),
        num_wins=wins,
        num_losses=losses,
        num_ties=ties,
    )


def normal_interval(value: float, items: Floats) -> Interval:
    """`value` with the standard error of the mean of `items` [n] and the normal bounds that follow from it."""
    if len(items) < 2:
        return Interval(value=value)
    error = float(items.std(ddof=1) / np.sqrt(len(items)))
    return Interval(value=value, low=value - NORMAL_95 * error, high=value + NORMAL_95 * error, standard_error=error)
