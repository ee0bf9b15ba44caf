"""Pearson correlations of diversity metrics and performance over the sets, with and without the length taken out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.study.trials import Trial

Floats = npt.NDArray[np.float64]
NUM_RESAMPLES = 2000
LEAST_SETS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Sets:
    """The data sets of a study: `values` [n, m] of the named columns, NaN where there is none.

    `groups` [n] are equal for sets of one method (other construction seeds), which are resampled together.
    """

    names: tuple[str, ...]
    values: Floats
    groups: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """r of two columns with a 95 % bootstrap interval; `partial` with the length of the component held fixed."""

    first: str
    second: str
    num_sets: int
    r: float
    low: float
    high: float
    partial: float
    partial_low: float
    partial_high: float


def sets_of(trials: Sequence[Trial], metrics: Sequence[str], performance: Sequence[str]) -> Sets:
    """One set per choice of rows; trainings on the same rows are averaged."""
    by_choice: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        by_choice.setdefault((trial.budget, trial.chosen), []).append(trial)
    labels = {each.label: number for number, each in enumerate(trials)}
    rows = [
        [each[0].diversity.get(metric, math.nan) for metric in metrics]
        + [float(np.mean([trial.performance[name] for trial in each])) for name in performance]
        for each in by_choice.values()
    ]
    return Sets(
        names=(*metrics, *performance),
        values=np.array(rows, dtype=np.float64).reshape(len(rows), len(metrics) + len(performance)),
        groups=np.array([labels[each[0].label] for each in by_choice.values()], dtype=np.int64),
    )


def correlations(sets: Sets, *, length: str, seed: int = 42) -> list[Correlation]:
    """Every pair of columns. Whole methods are drawn with replacement, since their sets are alike."""
    once, drawn = np.ones((1, len(sets.values))), _draws(sets.groups, seed=seed)
    control = sets.names.index(length) if length in sets.names else None
    found = []
    for second in range(len(sets.names)):
        for first in range(second):
            columns = [first, second] + ([control] if control is not None else [])
            values = sets.values[:, columns]
            finite = np.isfinite(values).all(axis=1)
            (r,), (partial,) = _both(values[finite], once[:, finite])
            spread = _both(values[finite], drawn[:, finite])
            (low, high), (partial_low, partial_high) = (_edges(each) for each in spread)
            found.append(
                Correlation(
                    first=sets.names[first], second=sets.names[second], num_sets=int(finite.sum()),
                    r=float(r), low=low, high=high,
                    partial=float(partial), partial_low=partial_low, partial_high=partial_high,
                )
            )  # fmt: skip
    return found


def _both(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Pearson's r of the first two columns of `values` [n, 2 or 3] under each weighting [R, n], and the partial one
    given the third; NaN where a column does not vary or there are too few sets."""
    nothing = np.full(len(weights), np.nan)
    if len(values) < LEAST_SETS:
        return nothing, nothing
    centred = values - values.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    if (scale[:2] <= 1e-12 * np.abs(values[:, :2]).max(axis=0)).any():
        return nothing, nothing
    standard = centred / np.where(scale > 0, scale, 1)
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (weights @ standard) / total[:, None]
        moments = np.einsum("rn,na,nb->rab", weights, standard, standard, optimize=True) / total[:, None, None]
        covariance = moments - means[:, :, None] * means[:, None, :]
        spread = np.sqrt(np.where(np.einsum("raa->ra", covariance) > 1e-12, np.einsum("raa->ra", covariance), np.nan))
        related = covariance / (spread[:, :, None] * spread[:, None, :])
        r = related[:, 0, 1]
        if values.shape[1] < 3:
            return r, nothing
        a, b = related[:, 0, 2], related[:, 1, 2]
        rest = (1 - a * a) * (1 - b * b)
        # The length itself has nothing left when it is held fixed.
        partial = np.where(rest > 1e-9, (r - a * b) / np.sqrt(np.where(rest > 1e-9, rest, 1)), np.nan)
    return r, partial


def _edges(values: Floats) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if len(finite) < NUM_RESAMPLES // 2:
        return math.nan, math.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _draws(groups: npt.NDArray[np.int64], *, seed: int) -> Floats:
    """How often each set is drawn in each resample [R, n]: as often as its group."""
    kinds, members = np.unique(groups, return_inverse=True)
    if not len(kinds):
        return np.ones((NUM_RESAMPLES, 0))
    shares = np.full(len(kinds), 1 / len(kinds))
    counts = np.random.default_rng(seed).multinomial(len(kinds), shares, size=NUM_RESAMPLES)
    return np.asarray(counts[:, members], dtype=np.float64)
