"""Bayesian linear regression of performance on diversity, its two precisions set by the evidence (arXiv 2505.24768).

The paper names the method without formulas; these are MacKay's (1992) for one centred slope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NO_VARIATION, TOO_FEW, NO_SLOPE = "no_variation", "too_few_samples", "evidence_for_no_slope"
_LARGEST = 1e12
_ROUNDS = 10_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """y = `y_mean` + `slope` (x - `x_mean`). `sd` is the slope's posterior standard deviation, `noise` that of y.

    `p_positive` is the posterior chance that the slope is above 0. `ols_slope` and `ols_sd` are those of least
    squares. NaN with a `note` where there is none; the note `evidence_for_no_slope` says that the evidence
    grows without end as the slope goes to 0, whose sd is then 0 and tells nothing.
    """

    num: int
    x_mean: float
    y_mean: float
    slope: float = math.nan
    sd: float = math.nan
    p_positive: float = math.nan
    noise: float = math.nan
    ols_slope: float = math.nan
    ols_sd: float = math.nan
    note: str = ""

    def at(self, x: Floats) -> Floats:
        """The line [k] at `x` [k]."""
        return np.asarray(self.y_mean + self.slope * (x - self.x_mean), dtype=np.float64)

    def band(self, x: Floats, *, predictive: bool = False) -> Floats:
        """One standard deviation [k] of the line at `x` [k]; of a new value, noise included, when `predictive`."""
        variance = self.noise**2 / self.num + self.sd**2 * (x - self.x_mean) ** 2
        return np.asarray(np.sqrt(variance + (self.noise**2 if predictive else 0.0)), dtype=np.float64)


def fit_line(x: npt.ArrayLike, y: npt.ArrayLike) -> Line:
    """The line through points [n]; points that are not finite are left out.

    Slope w ~ N(0, 1 / lam), noise precision beta, both updated until they stay: S = 1 / (lam + beta sum x^2),
    m = S beta sum x y, g = beta sum x^2 / (lam + beta sum x^2), lam = g / m^2, beta = (n - g) / RSS.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    finite = np.isfinite(xs) & np.isfinite(ys)
    xs, ys = xs[finite], ys[finite]
    n = len(xs)
    mean_x, mean_y = (float(each.mean()) if n else math.nan for each in (xs, ys))
    nothing: dict[str, Any] = {"num": n, "x_mean": mean_x, "y_mean": mean_y}
    if n < 3:
        return Line(**nothing, note=TOO_FEW)
    xs, ys = xs - mean_x, ys - mean_y
    square, product, total = float(xs @ xs), float(xs @ ys), float(ys @ ys)
    if square == 0:
        return Line(**nothing, note=NO_VARIATION)
    least, unexplained = product / square, max(total - product**2 / square, 0.0)
    if total <= n * (1e-12 * mean_y) ** 2:
        # All values are one value: there is nothing that a slope could tell.
        return Line(**nothing, slope=0.0, sd=0.0, p_positive=0.5, noise=0.0, ols_slope=0.0, ols_sd=0.0, note=NO_SLOPE)
    lam, beta = _precisions(n, square, product, total)
    slope = beta * product / (lam + beta * square)
    sd = 1 / math.sqrt(lam + beta * square)
    return Line(
        **nothing,
        slope=slope,
        sd=sd,
        p_positive=_normal(slope / sd),
        noise=1 / math.sqrt(beta),
        ols_slope=least,
        ols_sd=math.sqrt(unexplained / (n - 2) / square),
        note=NO_SLOPE if lam >= 1e-3 * _LARGEST * beta * square else "",
    )


def _precisions(n: int, square: float, product: float, total: float) -> tuple[float, float]:
    """`lam` and `beta` where they stay as they are, or where the evidence has no end."""
    smallest = max(total, 1e-300) * 1e-18
    beta = (n - 1) / max(total, smallest)
    lam = beta * square / n
    for _ in range(_ROUNDS):
        slope = beta * product / (lam + beta * square)
        share = beta * square / (lam + beta * square)
        rest = total - 2 * slope * product + slope**2 * square
        new_lam = min(share / slope**2, _LARGEST * beta * square) if slope else _LARGEST * beta * square
        new_beta = (n - share) / max(rest, smallest)
        settled = abs(new_lam - lam) <= 1e-12 * lam and abs(new_beta - beta) <= 1e-12 * beta
        lam, beta = new_lam, new_beta
        if settled:
            break
    return lam, beta


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
