"""Which rows can be told apart, by all pairs or by planned ones, and how many more seeds it would take for others."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from sftbench.board.noise import TrainingNoise, two_sided_p
from sftbench.board.spread import Grid, Spread, subtract
from sftbench.board.statistics import FAMILY_ERROR, holm, moderated, p_values

MOST_SEEDS = 200


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one row of an ordered list stands.

    `seeds_to_tell` is the number of seeds (in all) from which on this row would be told apart from the
    best if the difference stayed what it is; None for rows that are told apart already and where seeds
    alone would not do it.
    """

    tier: int
    tied_with_best: bool
    seeds_to_tell: int | None


def stand(grids: list[Grid], noise: TrainingNoise | None, *, bigger_is_better: bool) -> list[Standing]:
    """Tiers for rows in order of their mean, best first.

    Two rows are told apart when their paired difference has a Holm-adjusted p of at most 0.05, the family
    being all pairs of the list. Down the list, a row's tier is 1 plus the largest tier among the rows
    above it that are told apart from it, or 1 if there are none. So no two rows of a tier can be told
    apart, and every row of tier t > 1 is told apart from a better one of tier t - 1. Being told apart is
    not transitive: a noisy row may share tier 1 while a sharper row above it is in tier 2. A row is tied
    with the best when it is not told apart from the first row; the first row itself always is.
    """
    pairs = list(combinations(range(len(grids)), 2))
    differences = [subtract(grids[better], grids[worse]) for better, worse in pairs]
    apart: npt.NDArray[np.bool_] = holm(p_values(differences, noise)) <= FAMILY_ERROR
    sign = 1 if bigger_is_better else -1
    told: dict[tuple[int, int], bool] = {
        pair: bool(flag) and difference is not None and sign * difference.mean > 0
        for pair, flag, difference in zip(pairs, apart, differences, strict=True)
    }
    tiers: list[int] = []
    for row in range(len(grids)):
        tiers.append(1 + max((tiers[above] for above in range(row) if told[above, row]), default=0))
    needed = [
        None if difference is None or told[pair] else seeds_to_tell(difference, noise, num_pairs=len(pairs))
        for pair, difference in zip(pairs, differences, strict=True)
        if pair[0] == 0
    ]
    return [
        Standing(tier=tier, tied_with_best=row == 0 or not told[0, row], seeds_to_tell=needed[row - 1] if row else None)
        for row, tier in enumerate(tiers)
    ]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A comparison that was planned before anything was measured. `difference` is first minus second."""

    difference: Spread
    told_apart: bool


def compare_planned(pairs: list[tuple[Grid, Grid]], noise: TrainingNoise | None) -> list[Planned | None]:
    """Paired differences of given pairs, the family being these pairs alone; None where nothing can be compared.

    Told apart means a Holm-adjusted p of at most 0.05, as in `stand`.
    """
    differences = [subtract(first, second) for first, second in pairs]
    apart = holm(p_values(differences, noise)) <= FAMILY_ERROR
    return [
        None if difference is None else Planned(difference=difference, told_apart=bool(flag))
        for difference, flag in zip(differences, apart, strict=True)
    ]


def seeds_to_tell(difference: Spread, noise: TrainingNoise | None, *, num_pairs: int) -> int | None:
    """The fewest seeds, up to 200, at which this difference would pass Bonferroni's bar for `num_pairs` pairs."""
    (variance,), (freedom,) = moderated([difference], noise)
    if not difference.mean or not np.isfinite(freedom):
        return None

    def enough(seeds: int) -> bool:
        p = two_sided_p(
            np.array([difference.mean]),
            np.array([variance * difference.num_seeds / seeds]),
            np.array([freedom + seeds - difference.num_seeds]),
            np.array([difference.item_variance]),
        )
        return bool(p[0] <= FAMILY_ERROR / num_pairs)

    more = range(difference.num_seeds + 1, MOST_SEEDS + 1)
    index = bisect_left(more, True, key=enough)
    return more[index] if index < len(more) else None
