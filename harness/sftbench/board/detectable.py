"""The smallest true difference that a planned comparison would tell, by how much seeds and items scatter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sftbench.board.noise import Floats, TrainingNoise, two_sided_p
from sftbench.board.spread import Spread
from sftbench.board.statistics import FAMILY_ERROR, moderated

POWER = 0.8
NUM_NODES = 24
"""Values that stand for a chi-square."""


def detectable_difference(
    differences: Sequence[Spread], noise: TrainingNoise | None, *, num_comparisons: int
) -> float | None:
    """The true difference that would be told with a power of 80 %, as the mean over comparisons that scatter as these.

    None where no difference would be told. The bar is Holm's for the smallest p of `num_comparisons`, so that this is
    for one row that differs from the reference while no other does; where several do, the power is larger. Where seeds
    say nothing of training noise (`knows_noise`) it is taken to be none.
    """
    bar = FAMILY_ERROR / max(num_comparisons, 1)
    usable = [each for each in differences if _can_tell(each, bar)]
    if not usable:
        return None
    variances, freedoms = moderated(usable, noise)
    items = np.array([each.item_variance for each in usable])
    scattering = variances + items > 0
    if not scattering.any():
        return None
    return smallest_told(
        variances[scattering], items[scattering], freedom=float(np.median(freedoms[scattering])), bar=bar
    )


def _can_tell(difference: Spread, bar: float) -> bool:
    """Whether a row that differs on every item would be told: there is a floor under p (`statistics.least_p`)."""
    return difference.tells and (difference.whole or 2.0 ** (1 - difference.num_items) <= bar)


def knows_noise(differences: Sequence[Spread], noise: TrainingNoise | None) -> bool:
    """Whether anything is known of what training seeds add to these differences."""
    return bool(np.isfinite(moderated(list(differences), noise)[1]).any())


def smallest_told(
    seed_variances: Floats, item_variances: Floats, *, freedom: float, bar: float, power: float = POWER
) -> float:
    """The true difference at which p <= `bar`, in its direction, has the mean probability `power` over comparisons [k].

    In another run of the same kind the estimate is normal around the difference. Its seed variance is known here with
    `freedom` degrees of freedom, and as uncertain again is the estimate of it that sets the bar there: both are
    averaged over, by equally likely values of two chi-squares.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtri, ndtr

    chi = np.ones(1)
    if np.isfinite(freedom):
        chi = chdtri(freedom, (np.arange(NUM_NODES) + 0.5) / NUM_NODES) / freedom
    true = (seed_variances[:, None] / chi)[:, :, None]
    items = item_variances[:, None, None]
    bars = critical(true * chi, items, freedom=freedom, bar=bar)
    deviations = np.sqrt(true + items)

    def short(difference: float) -> float:
        return float(ndtr((difference - bars) / deviations).mean()) - power

    high = float(bars.min())
    while short(high) < 0:
        high *= 2
    return float(brentq(short, 0.0, high, xtol=1e-6 * high))


def critical(seed_variances: Floats, item_variances: Floats, *, freedom: float, bar: float) -> Floats:
    """The smallest estimates with p <= `bar`, for variances whose sums are above 0 (shapes as numpy joins them).

    In units of its standard error it depends on the share of the seed variance alone, and is interpolated in that.
    """
    shares = np.linspace(0, 1, 65) ** 2
    freedoms = np.full(len(shares), freedom)

    def passes(estimates: Floats) -> npt.NDArray[np.bool_]:
        return np.asarray(two_sided_p(estimates, shares, freedoms, 1 - shares) <= bar)

    high = np.ones(len(shares))
    while not (reached := passes(high)).all():
        high = np.where(reached, high, 2 * high)
    low = np.zeros(len(shares))
    for _ in range(30):
        middle = (low + high) / 2
        reached = passes(middle)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    both = seed_variances + item_variances
    return np.asarray(np.sqrt(both) * np.interp(seed_variances / both, shares, high))
