"""The values of a row, seeds by items, and what they scatter by: between seeds, between items, and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftbench.board.noise import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """The values of one row: float64 [S, I] over `seeds` and the board's items, NaN where an item has none.

    `still` marks a row without training noise (the untrained base, a constant): one seed stands for all. `whole` marks
    a metric of which nothing but a number per seed is known: [S, 1], and that column is no item.
    """

    seeds: tuple[int, ...]
    values: Floats
    still: bool = False
    whole: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """A grid taken apart. `item_effects` [I] have the variance that a mean over items must show when resampled.

    Of a `whole` grid there are none, and `num_missing` counts seeds instead of items.
    """

    mean: float
    seed_variance: float
    num_seeds: int
    num_noisy: int
    item_effects: Floats
    num_items: int
    num_unequal: int
    num_missing: int
    whole: bool = False

    @property
    def tells(self) -> bool:
        """Whether there is enough for an interval: several items, or several seeds that differ where there are none."""
        return self.seed_variance > 0 if self.whole else self.num_items > 1

    @property
    def item_variance(self) -> float:
        """Variance of the mean from the choice of items; of a number alone it is not known, and counts as none."""
        if self.whole:
            return 0.0
        return float(self.item_effects @ self.item_effects) / self.num_items**2 if self.num_items else np.nan


def take_apart(grid: Grid, *, num_noisy: int | None = None) -> Spread | None:
    """The parts of a grid, or None when no seed has a finite value.

    The mean is the mean over seeds of each seed's mean over its finite items. `num_noisy` says how many
    noisy rows the values hold (2 for a difference); by default 1, or 0 for a grid that is `still`.
    """
    values = grid.values[np.isfinite(grid.values).any(axis=1)]
    if not values.size:
        return None
    values = values[:1] if grid.still else values
    num_noisy = (0 if grid.still else 1) if num_noisy is None else num_noisy
    if grid.whole:
        return _numbers(values[:, 0], num_noisy, num_missing=len(grid.values) - len(values) if not grid.still else 0)
    finite = np.isfinite(values)
    seed_means = np.nanmean(values, axis=1)
    seen = finite.any(axis=0)
    effects, num_items = _item_effects(values[:, seen], seed_means), int(seen.sum())
    everywhere = np.zeros(values.shape[1])
    everywhere[seen] = effects
    return Spread(
        mean=float(seed_means.mean()),
        seed_variance=float(seed_means.var(ddof=1)) if len(seed_means) > 1 else 0.0,
        num_seeds=len(seed_means),
        num_noisy=num_noisy,
        item_effects=everywhere,
        num_items=num_items,
        num_unequal=int(np.any(finite & (values != 0), axis=0).sum()),
        num_missing=int((~finite).sum()),
    )


def _numbers(values: Floats, num_noisy: int, *, num_missing: int) -> Spread:
    """Of numbers [S], one per seed, without items. What differs by rounding alone agrees."""
    agree = np.ptp(values) <= 1e-9 * np.abs(values).max()
    return Spread(
        mean=float(values.mean()),
        seed_variance=0.0 if agree else float(values.var(ddof=1)),
        num_seeds=len(values),
        num_noisy=num_noisy,
        item_effects=np.zeros(0),
        num_items=0,
        num_unequal=0,
        num_missing=num_missing,
        whole=True,
    )


def _item_effects(values: Floats, seed_means: Floats) -> Floats:
    """Centred effects [I'] of items seen at least once, scaled so that resampling gives an unbiased item variance."""
    num_seeds, num_items = values.shape
    finite = np.isfinite(values)
    effects: Floats = np.nanmean(values - seed_means[:, None], axis=0)
    effects = effects - effects.mean()
    if num_items < 2:
        return effects
    share = 1.0
    rest_freedom = int(finite.sum()) - num_seeds - num_items + 1
    if num_seeds > 1 and rest_freedom > 0:
        rest = np.where(finite, values - seed_means[:, None] - effects, 0.0)
        rest_square = float((rest * rest).sum()) / rest_freedom
        item_square = float(effects @ effects) * finite.sum() / num_items / (num_items - 1)
        share = max(0.0, 1 - rest_square / item_square) if item_square > 0 else 0.0
    return np.asarray(effects * np.sqrt(share * num_items / (num_items - 1)), dtype=np.float64)


def subtract(first: Grid, second: Grid) -> Spread | None:
    """The paired difference, item by item and seed by seed; None without a common item.

    Common seeds are paired; rows without a common seed are paired in order, which is valid too, only
    less sharp. A `still` row goes with every seed of the other.
    """
    if first.still or second.still:
        left = first.values[:1] if first.still else first.values
        right = second.values[:1] if second.still else second.values
        seeds = second.seeds if first.still else first.seeds
    else:
        common = [seed for seed in first.seeds if seed in second.seeds]
        count = min(len(first.seeds), len(second.seeds))
        left = first.values[[first.seeds.index(seed) for seed in common] if common else slice(count)]
        right = second.values[[second.seeds.index(seed) for seed in common] if common else slice(count)]
        seeds = tuple(common) or first.seeds[:count]
    difference = Grid(
        seeds=seeds, values=left - right, still=first.still and second.still, whole=first.whole or second.whole
    )
    return take_apart(difference, num_noisy=(not first.still) + (not second.still))
