"""What a selection says about itself: where it lies on the axis, beside a random set of the same size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sftbench import Json
from sftbench_plugins.m2m.lengths import first_within
from sftbench_plugins.m2m.series import Series


def describe(
    series: Series, *, level: float, num_levels: int, chosen: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> dict[str, Json]:
    """Figures of the rows `chosen` from the series at a level in percent, and of `num_levels` levels of it.

    `lengths` [n] are response tokens of the rows that it may choose.
    """
    limits, generator = series.limits, np.random.default_rng(series.seed)
    shuffled = generator.permutation(len(lengths))
    drawn = shuffled[first_within(limits.costs[shuffled], limits.strata[shuffled], limits.room)]
    here = _figures(series, chosen, lengths)
    return {
        "status": "reconstruction",
        "k_min": series.fewest,
        "k_max": series.most,
        "k_wanted": series.types_at(level),
        "k_actual": here["types"],
        "percent_wanted": level,
        **{name: value for name, value in here.items() if name != "types"},
        "entropy_max": float(np.log(max(1, series.pruned.types_after[0]))),
        "pool_mean_response_length": float(lengths.mean()),
        "random_of_same_size": _figures(series, drawn, lengths),
        "levels": [_level(series, 100 * step / (num_levels - 1)) for step in range(num_levels)],
    }


def _figures(series: Series, rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> dict[str, Json]:
    holders = np.bincount(series.matrix[rows].indices, minlength=series.matrix.shape[1])
    types = int((holders > 0).sum())
    return {
        "types": types,
        "percent": series.percent_of(types),
        "entropy": entropy(holders),
        "mean_response_length": float(lengths[rows].mean()) if len(rows) else 0.0,
    }


def _level(series: Series, percent: float) -> dict[str, Json]:
    """A level's pool holds at most its types; it is feasible when the pool still fills the budget."""
    pruned, wanted = series.pruned, series.types_at(percent)
    removals = pruned.position(wanted)
    feasible = removals <= len(pruned.order)
    left = pruned.num_rows - min(removals, len(pruned.order))
    return {"percent": percent, "types": wanted, "pool_rows": left, "feasible": feasible}


def entropy(holders: npt.NDArray[np.int64]) -> float:
    """Entropy in nats of a draw of one (row, type) pair by its type."""
    shares = holders[holders > 0] / max(1, int(holders.sum()))
    return float(-(shares * np.log(shares)).sum())
