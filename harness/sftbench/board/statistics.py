"""Intervals of means and of paired differences over seeds and items, and what may be claimed from them.

The model behind all of it: the value of item i under seed s is `mean + seed effect + item effect + rest`.
Seeds and items are both samples, and the same items are used under every seed. The plain two-level
percentile bootstrap (resample seeds, then items) is too narrow with three or five seeds: it takes the
spread of three values for the truth and divides by S where S - 1 is due. So here each level gets what
suits it:

- items are resampled, as in any bootstrap, one draw of items for all rows;
- the seed level, which has too few values to be resampled, is drawn from Student's distribution around the
  mean, with the variance between seed means, moderated by the other rows (see `noise`);
- the part of the spread between items that is only the rest (it shows in the seed means already) is taken
  out of the item level by analysis of variance, so that it is not counted twice.

A metric that is a number per seed and nothing else has no items to resample or to pair on. Its interval is Student's
from its own seeds alone, with S - 1 degrees of freedom and no help from other rows: wider as a rule, and for these
items only. From a single seed, or from seeds that all say the same, nothing is told.

The tests show coverage by simulation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.board.noise import Floats, TrainingNoise, fit_noise, two_sided_p
from sftbench.board.spread import Spread

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95
FAMILY_ERROR = 0.05


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its interval (None where there is too little to tell), and what it rests on.

    Without items (`num_items` 0) it is a number per seed, and `num_failed_items` counts seeds that have none.
    """

    mean: float
    low: float | None
    high: float | None
    num_seeds: int
    num_items: int
    num_failed_items: int


def moderated(spreads: list[Spread], noise: TrainingNoise | None) -> tuple[Floats, Floats]:
    """The variance of each mean from training seeds [p] and its degrees of freedom [p] (inf where there is none)."""
    own = np.array([spread.seed_variance for spread in spreads])
    freedom = np.array([float(max(spread.num_seeds - 1, 0)) for spread in spreads])
    noisy = np.array([float(spread.num_noisy) for spread in spreads])
    counts = np.array([float(spread.num_seeds) for spread in spreads])
    if noise is not None and not any(spread.whole for spread in spreads):
        own, freedom = noise.moderate(own, freedom, noisy)
    known = (freedom > 0) & (noisy > 0)
    return np.where(known, own / counts, 0.0), np.where(known, freedom, np.inf)


def estimate_all(
    spreads: list[Spread],
    noise: TrainingNoise | None,
    *,
    key: str,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    num_resamples: int = NUM_RESAMPLES,
) -> list[Estimate]:
    """Means with intervals for rows on the same items. `key` names the data, so that the same data give the same draws.

    With one seed and no `noise` the interval covers the choice of items only. Spreads without items have Student's
    interval over seeds, whatever `noise`; either all are without or none is. `bounds` (0, 1) are those of a
    metric whose values are 0 and 1.
    """
    if not spreads:
        return []
    if any(spread.whole for spread in spreads):
        return [_from_seeds(spread, bounds) for spread in spreads]
    drawn = _drawn_deviations(spreads, noise, key=key, num_resamples=num_resamples)
    edges = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=1)
    unseen = [_unseen(spread, bounds) for spread in spreads]
    return [
        Estimate(
            mean=spread.mean,
            low=float(np.clip(spread.mean + min(low, -below), *bounds)) if spread.tells else None,
            high=float(np.clip(spread.mean + max(high, above), *bounds)) if spread.tells else None,
            num_seeds=spread.num_seeds,
            num_items=spread.num_items,
            num_failed_items=spread.num_missing,
        )
        for spread, low, high, (below, above) in zip(spreads, edges[0], edges[1], unseen, strict=True)
    ]


def _unseen(spread: Spread, bounds: tuple[float, float]) -> tuple[float, float]:
    """How far below and above the mean the truth may lie though no item says so: for shares that are all 0 or all 1.

    Resampled items that agree scatter by nothing, which is no proof that none of another kind exists. The one-sided
    bound of Clopper and Pearson for as many items is 1 - 0.05^(1/n), about 3 / n. Seeds share the items, and so are
    not counted as further ones.
    """
    if bounds != (0.0, 1.0) or spread.mean not in bounds:
        return 0.0, 0.0
    far = 1 - (1 - CONFIDENCE) ** (1 / spread.num_items)
    return (far, 0.0) if spread.mean == 1.0 else (0.0, far)


def draw_means(spreads: list[Spread], noise: TrainingNoise | None, *, key: str, num_resamples: int) -> Floats:
    """Draws [R, B] of the means of rows on the same items, together: from what intervals of anything made of them are.

    As in `estimate_all`: the same items for all rows, and seeds of each row apart.
    """
    means = np.array([spread.mean for spread in spreads])
    return means[:, None] + _drawn_deviations(spreads, noise, key=key, num_resamples=num_resamples)


def _drawn_deviations(spreads: list[Spread], noise: TrainingNoise | None, *, key: str, num_resamples: int) -> Floats:
    """What new items and new seeds would add to each mean: [R, draws]. Numbers without items have seeds alone."""
    if any(spread.whole for spread in spreads):
        drawn = np.zeros((len(spreads), num_resamples))
    else:
        drawn = _resampled_item_means(spreads, _generator(key, "items"), num_resamples)
    variances, freedoms = moderated(spreads, noise)
    for row, (variance, freedom) in enumerate(zip(variances, freedoms, strict=True)):
        if variance > 0:
            drawn[row] += np.sqrt(variance) * _student(freedom, num_resamples, _generator(key, f"seeds of row {row}"))
    return drawn


def _from_seeds(spread: Spread, bounds: tuple[float, float]) -> Estimate:
    """Student's interval over seeds, with S - 1 degrees of freedom."""
    from scipy.special import stdtrit

    half = None
    if spread.tells:
        quantile = stdtrit(spread.num_seeds - 1.0, (1 + CONFIDENCE) / 2)
        half = float(quantile * np.sqrt(spread.seed_variance / spread.num_seeds))
    return Estimate(
        mean=spread.mean,
        low=None if half is None else float(np.clip(spread.mean - half, *bounds)),
        high=None if half is None else float(np.clip(spread.mean + half, *bounds)),
        num_seeds=spread.num_seeds,
        num_items=0,
        num_failed_items=spread.num_missing,
    )


def pooled_estimates(
    values: Sequence[Floats], drawn: Sequence[Floats], *, num_items: Sequence[int], key: str
) -> list[Estimate]:
    """Scores that are no means of items, pooled over seeds: for each row `values` [S] and their draws of items [S, B].

    The draws are the same for all seeds, so their mean over seeds varies as the choice of items does; what training
    seeds add is drawn as in `estimate_all`.
    """
    spreads = [
        Spread(
            mean=float(each.mean()),
            seed_variance=float(each.var(ddof=1)) if len(each) > 1 else 0.0,
            num_seeds=len(each),
            num_noisy=1,
            item_effects=np.zeros(0),
            num_items=count,
            num_unequal=count,
            num_missing=0,
        )
        for each, count in zip(values, num_items, strict=True)
    ]
    noisy = [(spread.seed_variance, spread.num_seeds - 1.0) for spread in spreads]
    noise = fit_noise(np.array([each for each, _ in noisy]), np.array([freedom for _, freedom in noisy]))
    found = []
    for row, (spread, variance, freedom) in enumerate(zip(spreads, *moderated(spreads, noise), strict=True)):
        means = drawn[row].mean(axis=0)
        if variance > 0:
            student = _student(freedom, len(means), _generator(key, f"seeds of row {row}"))
            means = means + np.sqrt(variance) * student
        known = means[np.isfinite(means)]
        edges = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]) if len(known) > 1 else None
        found.append(
            Estimate(
                mean=spread.mean,
                low=None if edges is None else float(np.clip(edges[0], 0, 100)),
                high=None if edges is None else float(np.clip(edges[1], 0, 100)),
                num_seeds=spread.num_seeds,
                num_items=spread.num_items,
                num_failed_items=0,
            )
        )
    return found


def _resampled_item_means(spreads: list[Spread], generator: np.random.Generator, num_resamples: int) -> Floats:
    """Deviations [R, draws] of the means under draws of items with replacement, the same draws for every row."""
    effects = np.stack([spread.item_effects / spread.num_items for spread in spreads], axis=1)
    num_items = len(effects)
    shares = np.full(num_items, 1 / num_items)
    chunk = max(1, 4_000_000 // num_items)
    parts = [
        generator.multinomial(num_items, shares, size=min(chunk, num_resamples - start)).astype(np.float64) @ effects
        for start in range(0, num_resamples, chunk)
    ]
    return np.ascontiguousarray(np.concatenate(parts).T)


def _student(freedom: float, count: int, generator: np.random.Generator) -> Floats:
    """Student's distribution in `count` equally likely values, shuffled: no luck in the tails."""
    from scipy.special import ndtri, stdtrit

    levels = (np.arange(count) + 0.5) / count
    values = ndtri(levels) if np.isinf(freedom) else stdtrit(freedom, levels)
    return np.asarray(generator.permutation(values), dtype=np.float64)


def _generator(*names: str) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def p_values(spreads: list[Spread | None], noise: TrainingNoise | None) -> Floats:
    """Two-sided p [p] for "the mean is zero"; 1 where there is nothing to compare.

    Never below what a sign test on the items that differ at all could give, so that three items which
    all point one way are no proof.
    """
    result = np.ones(len(spreads))
    usable = [index for index, spread in enumerate(spreads) if spread is not None and spread.tells]
    known = [spread for spread in spreads if spread is not None and spread.tells]
    if known:
        variances, freedoms = moderated(known, noise)
        means = np.array([spread.mean for spread in known])
        items = np.array([spread.item_variance for spread in known])
        floor = np.array([least_p(spread) for spread in known])
        result[usable] = np.maximum(two_sided_p(means, variances, freedoms, items), floor)
    return result


def least_p(spread: Spread) -> float:
    """What a sign test on the items that differ at all could give at best; without items there is no such bound."""
    return 0.0 if spread.whole else min(1.0, 2.0 ** (1 - spread.num_unequal))


def apart(p: Floats, elsewhere: Floats) -> npt.NDArray[np.bool_]:
    """Which comparisons [p] pass, in one family with those that have the p values `elsewhere`."""
    return np.asarray(holm(np.concatenate([p, elsewhere]))[: len(p)] <= FAMILY_ERROR)


def holm(p: npt.ArrayLike) -> Floats:
    """Holm's step-down adjusted p values [p] (Holm 1979): all claims with one <= a together err with chance <= a."""
    raw = np.asarray(p, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * (len(raw) - np.arange(len(raw))))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
