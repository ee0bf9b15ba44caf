"""Intervals of the card's figures: shares by Wilson's score, means by their standard error."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from sftbench.judging.resampling import Floats, Interval
from sftbench.judging.win_rate import NORMAL_95


def share(num_hits: float, num: float) -> Interval:
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


def clustered_share(hits: Floats, clusters: Sequence[str]) -> Interval:
    """The share of `hits` [n] (0 or 1 each), where those of one cluster have to do with one another: as many people
    vote on one verdict, and a judge errs on one question alike.

    Wilson's interval for as many independent hits as give the variance between clusters (a linearised ratio; the
    effective sample size of Korn and Graubard 1998), at most n; where all hits are alike, one a cluster.
    """
    num = len(hits)
    if not num:
        return Interval(value=float("nan"))
    rate = float(hits.mean())
    between = _variance_of_mean(hits - rate, clusters)
    independent = min(float(num), rate * (1 - rate) / between) if between > 0 else float(len(set(clusters)))
    return share(rate * independent, independent)


def _variance_of_mean(residuals: Floats, clusters: Sequence[str]) -> float:
    """Of the mean of n values with these residuals [n], in C clusters: C / (C - 1) times the sum of squares of the
    clusters' sums, over n squared."""
    names, places = np.unique(np.array(clusters), return_inverse=True)
    sums = np.bincount(places, weights=residuals)
    return float((sums**2).sum()) / len(residuals) ** 2 * len(names) / max(1, len(names) - 1)


def mean(values: Floats, *, widest: float, clusters: Sequence[str] | None = None) -> Interval:
    """The mean of the finite ones of `values` [n], with 95 % normal bounds.

    Two readings at `widest` from the mean, one on each side, are added to the variance: a judge that has not erred in
    a small sample has still a chance to err. Two more of n make no difference where n is large. With `clusters` [n],
    the variance is at least that between them.
    """
    is_known = np.isfinite(values)
    known = values[is_known]
    if not len(known):
        return Interval(value=float("nan"))
    centre = float(known.mean())
    error = float(np.sqrt((((known - centre) ** 2).sum() + 2 * widest**2) / (len(known) + 1) / len(known)))
    if clusters is not None:
        error = max(error, _variance_of_mean(known - centre, list(itertools.compress(clusters, is_known))) ** 0.5)
    return Interval(value=centre, low=centre - NORMAL_95 * error, high=centre + NORMAL_95 * error, standard_error=error)
