"""Intervals of the card's figures: shares by Wilson's score, means by their standard error."""

from __future__ import annotations

import numpy as np

from sftbench.judging.resampling import Floats, Interval
from sftbench.judging.win_rate import NORMAL_95


def share(num_hits: float, num: int) -> Interval:
    """`num_hits` of `num` with Wilson's 95 % score interval (Wilson 1927), which holds for few and for none."""
    if not num:
        return Interval(value=float("nan"))
    rate, square = float(num_hits) / num, NORMAL_95**2
    centre = (rate + square / (2 * num)) / (1 + square / num)
    half = NORMAL_95 / (1 + square / num) * np.sqrt(rate * (1 - rate) / num + square / (4 * num**2))
    error = float(np.sqrt(rate * (1 - rate) / num))
    return Interval(
        value=rate, low=max(0.0, float(centre - half)), high=min(1.0, float(centre + half)), standard_error=error
    )


def mean(values: Floats, *, widest: float) -> Interval:
    """The mean of the finite ones of `values` [n], with 95 % normal bounds.

    Two readings at `widest` from the mean, one on each side, are added to the variance: a judge that has not erred in
    a small sample has still a chance to err. Two more of n make no difference where n is large.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(value=float("nan"))
    centre = float(known.mean())
    error = float(np.sqrt((((known - centre) ** 2).sum() + 2 * widest**2) / (len(known) + 1) / len(known)))
    return Interval(value=centre, low=centre - NORMAL_95 * error, high=centre + NORMAL_95 * error, standard_error=error)
