"""One measured value with its interval, and why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Direction = Literal["up", "down", "shift"]
"""`up`: larger is more diverse; `down`: smaller is; `shift`: a distance from other rows, which is no diversity."""

CONFIDENCE = 0.95
NUM_GROUPS = 20
"""Groups of rows that a jackknife leaves out in turn, and random subsets that a budgeted value is the mean of."""
RANGES = {"share": (0.0, 1.0), "BLEU, 0 to 1": (0.0, 1.0)}
"""What a value of a unit can be, where that is bounded."""
TOO_FEW = "too_few_samples"


class Bounds(TypedDict, total=False):
    """The two bounds of a measure, or neither."""

    ci_lo: float
    ci_hi: float


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric of one side of a set. `value` is NaN where `note` gives the reason.

    `ci_lo` and `ci_hi` bound 95 %; NaN where there is too little to tell. `tokens` and `n` (rows) are what
    the value was computed on, in tokens of its own segmentation.
    """

    metric: str
    value: float
    ci_lo: float = math.nan
    ci_hi: float = math.nan
    unit: str
    tokens: int
    n: int
    direction: Direction
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON has it: None for NaN, bounds within what the metric can be."""
        least, most = RANGES.get(self.unit, (-math.inf, math.inf))
        edges = {"ci_lo": max(self.ci_lo, least), "ci_hi": min(self.ci_hi, most)}
        return {name: _or_none(value) for name, value in {**vars(self), **edges}.items()}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def joined_notes(*notes: str) -> str:
    """Several notes as one text."""
    return "; ".join(note for note in notes if note)


def bounds(value: float, error: float, *, freedom: float = math.inf) -> Bounds:
    """Bounds by Student's distribution around a value with this standard error."""
    from scipy.special import ndtri, stdtrit

    level = (1 + CONFIDENCE) / 2
    reach = float(ndtri(level) if math.isinf(freedom) else stdtrit(freedom, level)) * error
    return {"ci_lo": value - reach, "ci_hi": value + reach}


def mean_bounds(values: Floats) -> Bounds:
    """Bounds of a mean of independent values [n]; none for fewer than two."""
    if len(values) < 2:
        return {}
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return bounds(float(values.mean()), error, freedom=len(values) - 1)


def groups_of(num_rows: int, *, seed: int) -> npt.NDArray[np.int64]:
    """A group number per row [n], groups of nearly equal size, by lot; a group per row when there are few rows."""
    return np.random.default_rng([seed, 1]).permutation(num_rows) % min(NUM_GROUPS, max(1, num_rows))


def jackknife_bounds(value: float, without: Floats) -> Bounds:
    """Bounds from the values [G] that are left when each group of rows is left out in turn.

    For smooth statistics the variance is (G - 1) / G times the sum of squared deviations; for counts of
    distinct things, which are not smooth, it is too large rather than too small (Efron and Stein 1981).
    """
    finite = without[np.isfinite(without)]
    if len(finite) < 2:
        return {}
    spread = float(((finite - finite.mean()) ** 2).sum())
    return bounds(value, math.sqrt((len(finite) - 1) / len(finite) * spread), freedom=len(finite) - 1)


def subset_measure(values: Floats) -> tuple[float, Bounds]:
    """Mean over random subsets [S] of one size, with bounds from their spread.

    The spread of halves of a set is the error of the whole; for smaller subsets the bounds are wider
    than the error of the mean.
    """
    mean = float(values.mean())
    return mean, bounds(mean, float(values.std(ddof=1)), freedom=len(values) - 1)
