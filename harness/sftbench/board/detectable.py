"""The smallest true difference that a planned comparison would tell, by how much seeds and items scatter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sftbench.board.noise import Floats, TrainingNoise, two_sided_p
from sftbench.board.spread import Spread
from sftbench.board.statistics import FAMILY_ERROR, moderated

POWER = 0.8
NUM_NODES = 24
"""Values that stand for a chi-square."""


def detectable_differences(
    differences: Sequence[Spread], noise: TrainingNoise | None, *, num_comparisons: int
) -> Floats:
    """The true difference [k] that each comparison would tell with a power of 80 %, of those that could tell any.

    The bar is Holm's for the smallest p of `num_comparisons`, so that this is for one entry that differs from the
    reference while no other does; where several do, the power is larger. Where seeds say nothing of training noise
    (`knows_noise`) it is taken to be none. Entries scatter differently, so that their median is the typical one: a mean
    would follow the few that scatter most.
    """
    bar = FAMILY_ERROR / max(num_comparisons, 1)
    usable = [each for each in differences if _can_tell(each, bar)]
    if not usable:
        return np.empty(0)
    variances, freedoms = moderated(usable, noise)
    items = np.array([each.item_variance for each in usable])
    scattering = variances + items > 0
    found = np.full(len(usable), np.nan)
    for freedom in np.unique(freedoms[scattering]):
        alike = scattering & (freedoms == freedom)
        found[alike] = smallest_told(variances[alike], items[alike], freedom=float(freedom), bar=bar)
    return np.asarray(found[scattering])


def _can_tell(difference: Spread, bar: float) -> bool:
    """Whether an entry that differs on every item would be told: there is a floor under p (`statistics.least_p`)."""
    return difference.tells and (difference.whole or 2.0 ** (1 - difference.num_items) <= bar)


def knows_noise(differences: Sequence[Spread], noise: TrainingNoise | None) -> bool:
    """Whether anything is known of what training seeds add to these differences."""
    return bool(np.isfinite(moderated(list(differences), noise)[1]).any())


def smallest_told(
    seed_variances: Floats, item_variances: Floats, *, freedom: float, bar: float, power: float = POWER
) -> Floats:
    """The true difference [k] at which p <= `bar`, in its direction, has the probability `power`, for each comparison.

    In another run of the same kind the estimate is normal around the difference. Its seed variance is known here with
    `freedom` degrees of freedom, and as uncertain again is the estimate of it that sets the bar there: both are
    averaged over, by equally likely values of two chi-squares.
    """
    from scipy.special import chdtri, ndtr

    chi = np.ones(1)
    if np.isfinite(freedom):
        chi = chdtri(freedom, (np.arange(NUM_NODES) + 0.5) / NUM_NODES) / freedom
    true = (seed_variances[:, None] / chi)[:, :, None]
    items = item_variances[:, None, None]
    bars = critical(true * chi, items, freedom=freedom, bar=bar)
    deviations = np.sqrt(true + items)

    def enough(sizes: Floats) -> npt.NDArray[np.bool_]:
        told = ndtr((sizes[:, None, None] - bars) / deviations).mean(axis=(1, 2))
        return np.asarray(told >= power)

    return _least(enough, bars.min(axis=(1, 2)))


def _least(reached: Callable[[Floats], npt.NDArray[np.bool_]], start: Floats, *, halvings: int = 30) -> Floats:
    """The smallest values [k] from 0 on at which a condition that stays true is true, from `start` > 0 on upwards."""
    high = start
    while not (passed := reached(high)).all():
        high = np.where(passed, high, 2 * high)
    low = np.zeros_like(high)
    for _ in range(halvings):
        middle = (low + high) / 2
        passed = reached(middle)
        low, high = np.where(passed, low, middle), np.where(passed, middle, high)
    return high


def critical(seed_variances: Floats, item_variances: Floats, *, freedom: float, bar: float) -> Floats:
    """The smallest estimates with p <= `bar`, for variances whose sums are above 0 (shapes as numpy joins them).

    In units of its standard error it depends on the share of the seed variance alone, and is interpolated in that.
    """
    shares = np.linspace(0, 1, 65) ** 2
    freedoms = np.full(len(shares), freedom)

    def passes(estimates: Floats) -> npt.NDArray[np.bool_]:
        return np.asarray(two_sided_p(estimates, shares, freedoms, 1 - shares) <= bar)

    high = _least(passes, np.ones(len(shares)))
    both = seed_variances + item_variances
    return np.asarray(np.sqrt(both) * np.interp(seed_variances / both, shares, high))
