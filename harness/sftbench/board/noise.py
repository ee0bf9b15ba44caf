"""How much a result moves when only the training seed changes, learnt from few seeds per row and many rows together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TrainingNoise:
    """What the rows of one board say together about the variance between the seed means of a row.

    `variance` counts like `freedom` further degrees of freedom of every row's own variance; `limit`
    is all the degrees of freedom there are, which no row can exceed.
    """

    variance: float
    freedom: float
    limit: float

    def moderate(self, variance: Floats, freedom: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """Own variances [p] joined with `weight` (how many noisy rows each holds, 0 to 2) times the common one."""
        common = weight * self.variance
        if np.isinf(self.freedom):
            return common, np.full_like(common, self.limit)
        total = self.freedom + freedom
        return (self.freedom * common + freedom * variance) / total, np.minimum(total, self.limit)


def fit_noise(variances: Floats, freedoms: Floats) -> TrainingNoise | None:
    """Empirical-Bayes prior for variances [R] with given degrees of freedom [R] (Smyth 2004, section 6.2).

    The logarithms of sample variances scatter by a known amount (trigamma(d/2)) when all rows have the
    same noise; what they scatter more says how much rows differ, hence how far to trust the common
    value. Variances of zero (a collapsed metric) tell nothing and are left out. None when fewer than
    three rows remain: then each row stands alone.
    """
    from scipy.special import digamma, polygamma

    usable = (variances > 0) & (freedoms > 0)
    if usable.sum() < 3:
        return None
    half = freedoms[usable] / 2
    logs = np.log(variances[usable]) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    limit = float(freedoms[usable].sum())
    if excess <= 0:
        return TrainingNoise(variance=float(np.exp(logs.mean())), freedom=np.inf, limit=limit)
    half_prior = inverse_trigamma(excess)
    variance = float(np.exp(logs.mean() + digamma(half_prior) - np.log(half_prior)))
    return TrainingNoise(variance=variance, freedom=2 * half_prior, limit=limit)


def inverse_trigamma(value: float) -> float:
    """The x > 0 with trigamma(x) = value > 0, by Newton steps on 1 / trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(60):
        trigamma = polygamma(1, x)
        step = trigamma * (1 - trigamma / value) / polygamma(2, x)
        x += step
        if abs(step) < 1e-10 * x:
            break
    return float(x)


def two_sided_p(estimate: Floats, seed_variance: Floats, freedom: Floats, item_variance: Floats) -> Floats:
    """P(|a T + b Z| >= |estimate|) with a^2, b^2 the two variances [p], T Student with `freedom`, Z normal.

    The Behrens-Fisher distribution: the seed part of the variance is known from few values, the item
    part from many. Given the chi-square under T the sum is normal, so one integral over its logarithm
    is left; the trapezoid rule does it to about 1e-9 relative.
    """
    from scipy.special import gammaln, ndtr

    freedom = np.minimum(freedom, 1e5)[:, None]
    spread = np.sqrt(2 / freedom)
    low, high = np.maximum(-60.0, -14 * spread - 80 / freedom), np.minimum(4.0, 14 * spread)
    steps = low + (high - low) * np.linspace(0, 1, 400)
    scaled = np.exp(steps)  # chi-square / freedom
    density = np.exp(freedom / 2 * (np.log(freedom / 2) + steps - scaled) - gammaln(freedom / 2))
    deviation = np.sqrt(seed_variance[:, None] / scaled + item_variance[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        standard = np.abs(estimate)[:, None] / deviation
    tails = 2 * ndtr(-np.where(np.isnan(standard), 0.0, standard))
    result: Floats = (tails * density).sum(axis=1) / density.sum(axis=1)
    return np.minimum(result, 1.0)
