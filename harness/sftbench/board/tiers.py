"""Which rows can be told apart, by all pairs or by planned ones, and how many more seeds it would take for others.

Comparisons of one kind are one family over all budgets of a board: whatever its size, the chance that a board makes any
wrong claim of that kind is at most 5 %.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sftbench.board.noise import Floats, TrainingNoise, two_sided_p
from sftbench.board.spread import Grid, Spread, subtract
from sftbench.board.statistics import FAMILY_ERROR, apart, moderated, p_values

MOST_SEEDS = 200
NOTHING_ELSE: Floats = np.zeros(0)
"""The p values of the rest of a family that has no rest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Paired differences of rows, first minus second (None without a common item), and their p values [pairs]."""

    pairs: list[tuple[int, int]]
    differences: list[Spread | None]
    p: Floats
    noise: TrainingNoise | None

    @classmethod
    def of(
        cls, grids: Sequence[Grid | None], pairs: Sequence[tuple[int, int]], noise: TrainingNoise | None
    ) -> Compared:
        differences = []
        for first, second in pairs:
            one, other = grids[first], grids[second]
            differences.append(subtract(one, other) if one is not None and other is not None else None)
        return cls(pairs=list(pairs), differences=differences, p=p_values(differences, noise), noise=noise)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one row of an ordered list stands.

    `places` are the best and the worst place that the row can have, with 95 % confidence for all rows together.
    `seeds_to_tell` is the number of seeds (in all) from which on this row would be told apart from the
    best if the difference stayed what it is; None for rows that are told apart already and where seeds
    alone would not do it.
    """

    tier: int
    tied_with_best: bool
    seeds_to_tell: int | None
    places: tuple[int, int]


def compare_all(grids: Sequence[Grid], noise: TrainingNoise | None) -> Compared:
    """All pairs of a list, the earlier row first."""
    return Compared.of(grids, list(combinations(range(len(grids)), 2)), noise)


def stand(
    compared: Compared, *, num_rows: int, bigger_is_better: bool, elsewhere: Floats = NOTHING_ELSE
) -> list[Standing]:
    """Tiers for rows in order of their mean, best first, of which all pairs were compared.

    Two rows are told apart when their paired difference has a Holm-adjusted p of at most 0.05, the family
    being all pairs of the list and those that have the p values `elsewhere`. Down the list, a row's tier is 1 plus the
    largest tier among the rows above it that are told apart from it, or 1 if there are none. So no two rows of a tier
    can be told apart, and every row of tier t > 1 is told apart from a better one of tier t - 1. Being told apart is
    not transitive: a noisy row may share tier 1 while a sharper row above it is in tier 2. A row is tied
    with the best when it is not told apart from the first row; the first row itself always is.

    A row's best place is 1 plus the number of rows that it is told to be behind, its worst is the number of rows that
    it is not told to be ahead of. While no pair is told apart wrongly these hold the true places of all rows (Mohamad,
    Goeman & van Zwet 2019, "Simultaneous confidence intervals for ranks"); of rows that are truly equal, any order is
    a true one.
    """
    flags = apart(compared.p, elsewhere)
    sign = 1 if bigger_is_better else -1
    told: dict[tuple[int, int], bool] = {
        pair: bool(flag) and difference is not None and sign * difference.mean > 0
        for pair, flag, difference in zip(compared.pairs, flags, compared.differences, strict=True)
    }
    tiers: list[int] = []
    for row in range(num_rows):
        tiers.append(1 + max((tiers[above] for above in range(row) if told[above, row]), default=0))
    family = len(compared.p) + len(elsewhere)
    needed = [
        None if difference is None or told[pair] else seeds_to_tell(difference, compared.noise, num_pairs=family)
        for pair, difference in zip(compared.pairs, compared.differences, strict=True)
        if pair[0] == 0
    ]
    return [
        Standing(
            tier=tier,
            tied_with_best=row == 0 or not told[0, row],
            seeds_to_tell=needed[row - 1] if row else None,
            places=(
                1 + sum(told[above, row] for above in range(row)),
                num_rows - sum(told[row, below] for below in range(row + 1, num_rows)),
            ),
        )
        for row, tier in enumerate(tiers)
    ]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A comparison that was planned before anything was measured. `difference` is first minus second.

    `seeds_to_tell` as in `Standing`.
    """

    difference: Spread
    told_apart: bool
    seeds_to_tell: int | None


def judge_planned(compared: Compared, elsewhere: Floats = NOTHING_ELSE) -> list[Planned | None]:
    """What planned comparisons come to, the family being these alone and those that have the p values `elsewhere`.

    None where nothing can be compared. Told apart means a Holm-adjusted p of at most 0.05, as in `stand`.
    """
    family = len(compared.p) + len(elsewhere)
    return [
        None
        if difference is None
        else Planned(
            difference=difference,
            told_apart=bool(flag),
            seeds_to_tell=None if flag else seeds_to_tell(difference, compared.noise, num_pairs=family),
        )
        for difference, flag in zip(compared.differences, apart(compared.p, elsewhere), strict=True)
    ]


def seeds_to_tell(difference: Spread, noise: TrainingNoise | None, *, num_pairs: int) -> int | None:
    """The fewest seeds, up to 200, at which this difference would pass Bonferroni's bar for `num_pairs` pairs."""
    (variance,), (freedom,) = moderated([difference], noise)
    if not difference.mean or not np.isfinite(freedom) or (difference.whole and not difference.tells):
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
