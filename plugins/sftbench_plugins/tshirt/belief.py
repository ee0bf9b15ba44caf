"""What is believed of a row's noisy copies before all are drawn: values seen, and a normal model of those to come.

The model of one statistic (S-IFD or IFD) of row i, with c_i its value without noise and k_i its tokens:

    s_i = exp(level + by_length log k_i + by_clean log c_i)       what its copies usually vary by
    v_i ~ s_i^2 freedom / chi2(freedom)                           what those of this row vary by
    mu_i | v_i ~ Normal(c_i + shift s_i, v_i / weight)            the mean of endless copies
    x_ij | mu_i, v_i ~ Normal(mu_i, v_i)                          one copy

So the clean value counts as `weight` copies, and what other rows vary by as `freedom` copies. The six numbers
are those that make the copies of all rows seen so far most probable (empirical Bayes; the moderated variances
of Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, are this model without a prior for the mean). What is still
to be drawn then has a closed predictive distribution, from which `Belief.end` draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

_MOST_FITTED = 4096
"""Rows that the prior is learnt from: six numbers do not get better with more."""


class Tally:
    """Values seen so far, by row: how many (int64 [n]), their mean, and squared deviations from it (float64 [n])."""

    def __init__(self, num_rows: int) -> None:
        self.counts = np.zeros(num_rows, dtype=np.int64)
        self.means = np.zeros(num_rows)
        self.squares = np.zeros(num_rows)

    def add(self, row: int, values: FloatArray) -> None:
        """Further values of a row; NaN is no value (Chan, Golub and LeVeque's update)."""
        present = values[~np.isnan(values)]
        if not len(present):
            return
        before, total = int(self.counts[row]), int(self.counts[row]) + len(present)
        mean = present.mean()
        gap = mean - self.means[row]
        self.squares[row] += ((present - mean) ** 2).sum() + gap**2 * before * len(present) / total
        self.means[row] += gap * len(present) / total
        self.counts[row] = total


class Prior(NamedTuple):
    """The six numbers of the model (see the module); `log_weight` and `log_freedom` are natural logarithms."""

    log_weight: float
    shift: float
    log_freedom: float
    level: float
    by_length: float
    by_clean: float


USUAL = Prior(log_weight=1.5, shift=0.0, log_freedom=2.3, level=-0.5, by_length=-0.7, by_clean=1.0)
_HOWUSUAL = Prior(log_weight=1.5, shift=0.5, log_freedom=1.0, level=3.0, by_length=0.5, by_clean=0.5)
"""Where the six numbers are sought first, and by how much (standard deviations) they may well differ from it: a
few rows with two copies each say little about some of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """What is known of rows without noise: `clean` float64 [n], above 0, and `num_tokens` int64 [n]."""

    clean: FloatArray
    num_tokens: IndexArray

    def take(self, places: IndexArray) -> Rows:
        """Some of the rows."""
        return Rows(clean=self.clean[places], num_tokens=self.num_tokens[places])


class _Posterior(NamedTuple):
    """Normal-inverse-gamma posterior by row: weight and mean of mu, degrees of freedom and scaled squares of v."""

    weight: FloatArray
    mean: FloatArray
    freedom: FloatArray
    squares: FloatArray


def scale_of(prior: Prior, rows: Rows) -> FloatArray:
    """s_i, the standard deviation that copies of a row usually have."""
    logs = prior.level + prior.by_length * np.log(rows.num_tokens) + prior.by_clean * np.log(rows.clean)
    return np.asarray(np.exp(logs))


def _posterior(prior: Prior, rows: Rows, seen: Tally) -> _Posterior:
    weight, freedom = np.exp(prior.log_weight), np.exp(prior.log_freedom)
    scale, counts = scale_of(prior, rows), seen.counts
    expected = rows.clean + prior.shift * scale
    total = weight + counts
    gap = np.where(counts > 0, seen.means - expected, 0.0)
    return _Posterior(
        weight=total,
        mean=expected + gap * counts / total,
        freedom=freedom + counts,
        squares=freedom * scale**2 + seen.squares + gap**2 * weight * counts / total,
    )


def log_evidence(prior: Prior, rows: Rows, seen: Tally) -> float:
    """The log-probability (density) of all values seen, parameters of the rows integrated out."""
    from scipy.special import gammaln

    after, freedom = _posterior(prior, rows, seen), np.exp(prior.log_freedom)
    return float(
        np.sum(
            0.5 * (prior.log_weight - np.log(after.weight))
            + 0.5 * freedom * np.log(0.5 * freedom * scale_of(prior, rows) ** 2)
            - 0.5 * after.freedom * np.log(0.5 * after.squares)
            + gammaln(0.5 * after.freedom)
            - gammaln(0.5 * freedom)
            - 0.5 * seen.counts * np.log(2 * np.pi)
        )
    )


def fit_prior(rows: Rows, seen: Tally, rng: np.random.Generator, start: Prior = USUAL) -> Prior:
    """The prior under which the values seen are most probable, held near usual numbers where they say little."""
    from scipy.optimize import minimize

    known = np.flatnonzero(seen.counts)
    if len(known) > _MOST_FITTED:
        known = np.sort(rng.choice(known, _MOST_FITTED, replace=False))
    fitted, tally = rows.take(known), Tally(len(known))
    tally.counts, tally.means, tally.squares = seen.counts[known], seen.means[known], seen.squares[known]
    usual, spread = np.array(USUAL), np.array(_HOWUSUAL)

    def loss(numbers: FloatArray) -> float:
        unusual = ((numbers - usual) / spread) ** 2
        return float(0.5 * unusual.sum() - log_evidence(Prior(*numbers), fitted, tally))

    bounds = list(zip(usual - 4 * spread, usual + 4 * spread, strict=True))
    found = minimize(loss, np.array(start), method="L-BFGS-B", bounds=bounds)
    return Prior(*(float(number) for number in found.x))


class Truth(NamedTuple):
    """Mean and variance of endless copies, by row."""

    mean: FloatArray
    variance: FloatArray


class Belief:
    """Every row's statistic over all its copies, as far as the copies seen tell.

    `num_copies` int64 [n] is how many each row has in the end (those without a value left out).
    """

    def __init__(self, prior: Prior, rows: Rows, seen: Tally, *, num_copies: IndexArray) -> None:
        self.prior, self._seen = prior, seen
        self._after = _posterior(prior, rows, seen)
        self._missing = np.maximum(num_copies - seen.counts, 0)
        self._all = np.maximum(num_copies, 1)

    def expected(self) -> tuple[FloatArray, FloatArray]:
        """Per row the mean over all copies [n], and the root of their expected variance [n]."""
        seen, missing, after = self._seen, self._missing, self._after
        mean = (seen.counts * seen.means + missing * after.mean) / self._all
        # Of few copies with an odd prior the variance has no mean; the order of rows needs some number.
        variance = after.squares / np.maximum(after.freedom - 2, 1)
        apart = (seen.means - after.mean) ** 2 + variance * (1 / after.weight + 1 / np.maximum(missing, 1))
        squares = seen.squares + np.maximum(missing - 1, 0) * variance + seen.counts * missing / self._all * apart
        return mean, np.sqrt(squares / self._all)

    def truth(self, rng: np.random.Generator) -> Truth:
        """One way that endless copies of every row may be."""
        variance = self._after.squares / rng.chisquare(self._after.freedom)
        return Truth(
            self._after.mean + np.sqrt(variance / self._after.weight) * rng.standard_normal(len(variance)), variance
        )

    def end(self, truth: Truth, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """One way it may end if that is the truth: mean [n] and population standard deviation [n] over all copies.

        A row whose copies are all seen has its own numbers every time.
        """
        seen, missing = self._seen, self._missing
        rest, squares = _drawn(truth, missing, rng)
        mean = (seen.counts * seen.means + missing * rest) / self._all
        between = seen.counts * missing / self._all * (seen.means - rest) ** 2
        return mean, np.sqrt((seen.squares + squares + between) / self._all)

    def end_anew(self, truth: Truth, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """The same with as many copies of other noise, none of which was seen."""
        mean, squares = _drawn(truth, self._all, rng)
        return mean, np.sqrt(squares / self._all)


def _drawn(truth: Truth, counts: IndexArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Mean of that many copies per row, and their squared deviations from it; anything where there are none."""
    mean = truth.mean + np.sqrt(truth.variance / np.maximum(counts, 1)) * rng.standard_normal(len(counts))
    chi2 = rng.chisquare(np.maximum(counts - 1, 1))
    return mean, np.where(counts > 1, truth.variance * chi2, 0.0)
