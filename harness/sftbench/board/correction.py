"""A win rate corrected for the judge that errs, with the judge's own uncertainty in its interval.

What of a judge's error a win rate's interval has inside, and what not:

- noise of single verdicts (a contradiction, a lot drawn anew for each item) makes items scatter more, and the items are
  what is resampled: it is inside already;
- a judge that errs everywhere alike draws every win rate towards 50. No number of items shows that. With g the mean
  preference for the better answer, E[preference] = 1 - g + (2g - 1) truth for truth 1, 0.5 and 0, so that
  truth - 1/2 = (win rate - 1/2) / (2g - 1) (Rogan & Gladen 1978, with one error rate: both orders are asked, so the
  judge cannot tell the model's answer from the baseline's).

Both sides of the ratio are estimates. Its interval is Fieller's (1954), which is without bounds where g may be 1/2.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from sftbench.board.statistics import Estimate
from sftbench.judging.win_rate import NORMAL_95

Why = Literal["", "chance", "one-sided", "no interval"]
"""Why there is no corrected value: the judge may be no better than chance; the win rate is further from 50 than a judge
that errs this often could make it, so that it errs less on these items than on those that it was checked with; or the
win rate has no interval."""


@dataclass(frozen=True, kw_only=True)
class GoldPreference:
    """The judge's mean preference for the better answer, in percent, its 95 % bounds, and the pairs it is from."""

    value: float
    low: float
    high: float
    num: int


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """The estimate in percent, or None and why there is none."""

    estimate: Estimate | None
    why: Why = ""


def corrected(raw: Estimate, agreement: GoldPreference) -> Corrected:
    """A win rate in percent, with its interval, as it would be by a judge that is always right.

    Holds where the judge errs as often on the items of the win rate as on the pairs of `agreement`, whichever of the
    two models is better; a judge that likes one model's style errs otherwise.
    """
    if raw.low is None or raw.high is None:
        return Corrected(estimate=None, why="no interval")
    lead, slope = raw.mean / 100 - 0.5, 2 * agreement.value / 100 - 1
    # Near 0 and 100 a bound may be cut off; the other side tells the error.
    lead_error = max(raw.mean - raw.low, raw.high - raw.mean) / 100 / NORMAL_95
    slope_error = 2 * max(agreement.value - agreement.low, agreement.high - agreement.value) / 100 / NORMAL_95
    bounds = fieller(lead, lead_error, slope, slope_error)
    if bounds is None or slope <= 0:
        return Corrected(estimate=None, why="chance")
    low, high = (100 * (0.5 + bound) for bound in bounds)
    if low > 100 or high < 0:
        return Corrected(estimate=None, why="one-sided")
    mean, low, high = (min(max(value, 0.0), 100.0) for value in (100 * (0.5 + lead / slope), low, high))
    return Corrected(estimate=dataclasses.replace(raw, mean=mean, low=low, high=high))


def fieller(top: float, top_error: float, bottom: float, bottom_error: float) -> tuple[float, float] | None:
    """95 % bounds of `top / bottom`, two independent normal estimates with standard errors (Fieller 1954).

    All r with (top - r bottom)^2 <= z^2 (top_error^2 + r^2 bottom_error^2); None where that is no bounded interval,
    because `bottom` is not told apart from 0.
    """
    square = NORMAL_95**2
    leading = bottom**2 - square * bottom_error**2
    if leading <= 0:
        return None
    constant = top**2 - square * top_error**2
    root = math.sqrt(max(0.0, (top * bottom) ** 2 - leading * constant))
    return (top * bottom - root) / leading, (top * bottom + root) / leading
