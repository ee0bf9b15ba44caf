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
    drawn = _draws(sets.groups, seed=seed)
    control = sets.names.index(length) if length in sets.names else None
    found = []
    for second in range(len(sets.names)):
        for first in range(second):
            columns = [first, second] + ([control] if control is not None else [])
            values = sets.values[:, columns]
            found.append(_pair(sets.names[first], sets.names[second], values, drawn))
    return found


def _pair(first: str, second: str, values: Floats, drawn: list[npt.NDArray[np.int64]]) -> Correlation:
    finite = np.isfinite(values).all(axis=1)
    r, partial = _both(values[finite])
    spread = np.array([_both(values[rows[finite[rows]]]) for rows in drawn])
    edges = [_edges(spread[:, column]) for column in (0, 1)]
    return Correlation(
        first=first, second=second, num_sets=int(finite.sum()), r=r, low=edges[0][0], high=edges[0][1],
        partial=partial, partial_low=edges[1][0], partial_high=edges[1][1],
    )  # fmt: skip


def _both(values: Floats) -> tuple[float, float]:
    """Pearson's r of the first two columns, and the partial one given the third if there is one."""
    if len(values) < LEAST_SETS or (np.ptp(values, axis=0)[:2] == 0).any():
        return math.nan, math.nan
    r = float(np.corrcoef(values[:, 0], values[:, 1])[0, 1])
    if values.shape[1] < 3 or np.ptp(values[:, 2]) == 0:
        return r, math.nan
    a, b = (float(np.corrcoef(values[:, column], values[:, 2])[0, 1]) for column in (0, 1))
    rest = (1 - a * a) * (1 - b * b)
    # The length itself has nothing left when it is held fixed.
    return r, (r - a * b) / math.sqrt(rest) if rest > 1e-12 else math.nan


def _edges(values: Floats) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if len(finite) < NUM_RESAMPLES // 2:
        return math.nan, math.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _draws(groups: npt.NDArray[np.int64], *, seed: int) -> list[npt.NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if not members:
        return []
    chosen = draw.integers(0, len(members), (NUM_RESAMPLES, len(members)))
    return [np.concatenate([members[each] for each in row]) for row in chosen]
