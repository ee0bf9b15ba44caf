"""The smallest true difference that a planned comparison would tell, by how much seeds and items scatter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sftbench.board.noise import Floats, TrainingNoise, two_sided_p
from sftbench.board.spread import Spread
from sftbench.board.statistics import FAMILY_ERROR, least_p, moderated

POWER = 0.8
NUM_NODES = 48
"""Values of the estimated variance that the power is averaged over."""


def detectable_difference(
    differences: Sequence[Spread], noise: TrainingNoise | None, *, num_comparisons: int
) -> float | None:
    """What could be told of a comparison that scatters as the median of these; None where no difference would be told.

    The bar is Holm's for the smallest p of `num_comparisons`, so that the power is that of one row that differs from
    the reference while no other does; where several do, theirs is larger. Where seeds say nothing of training noise
    (`knows_noise`) it is taken to be none.
    """
    bar = FAMILY_ERROR / max(num_comparisons, 1)
    if not any(each.tells and least_p(each) <= bar for each in differences):
        return None
    variances, freedoms = moderated(list(differences), noise)
    noisy = np.isfinite(freedoms)
    return smallest_told(
        float(np.median(variances)),
        float(np.median(freedoms[noisy])) if noisy.any() else np.inf,
        float(np.nanmedian([each.item_variance for each in differences])),
        bar=bar,
    )


def knows_noise(differences: Sequence[Spread], noise: TrainingNoise | None) -> bool:
    """Whether anything is known of what training seeds add to these differences."""
    return bool(np.isfinite(moderated(list(differences), noise)[1]).any())


def smallest_told(
    seed_variance: float, freedom: float, item_variance: float, *, bar: float, power: float = POWER
) -> float:
    """The true difference at which p <= `bar`, in its direction, has the probability `power`.

    The estimate is normal around the difference with both variances; the seed part is judged by an estimate of its
    variance that is a chi-square with `freedom` over `freedom`, which moves the bar (`critical`). The power is the mean
    over equally likely values of that estimate.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtri, ndtr

    deviation = np.sqrt(seed_variance + item_variance)
    if not deviation:
        return 0.0
    estimated = np.ones(1)
    if np.isfinite(freedom) and seed_variance:
        levels = (np.arange(NUM_NODES) + 0.5) / NUM_NODES
        estimated = chdtri(freedom, levels) / freedom
    bars = critical(seed_variance * estimated, np.full(len(estimated), freedom), item_variance, bar=bar)

    def short(difference: float) -> float:
        return float(ndtr((difference - bars) / deviation).mean()) - power

    return float(brentq(short, 0.0, float(bars.max()) + 10 * deviation, xtol=1e-6 * deviation))


def critical(seed_variances: Floats, freedoms: Floats, item_variance: float, *, bar: float) -> Floats:
    """The smallest estimates [k] with p <= `bar`, for seed variances [k] with their freedoms [k]."""
    items = np.full(len(seed_variances), item_variance)

    def passes(estimates: Floats) -> npt.NDArray[np.bool_]:
        return np.asarray(two_sided_p(estimates, seed_variances, freedoms, items) <= bar)

    high = np.sqrt(seed_variances + items)
    while not (reached := passes(high)).all():
        high = np.where(reached, high, 2 * high)
    low = np.zeros(len(high))
    for _ in range(40):
        middle = (low + high) / 2
        reached = passes(middle)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.asarray(high)
