"""The series of pools from least to most diverse at one budget, and the choice at one point of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sftbench_plugins.m2m.choose import Choice, Uniformity, choose
from sftbench_plugins.m2m.lengths import Limits
from sftbench_plugins.m2m.prune import Pruned

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_NEAR_ENOUGH = 0.005
"""A type count this close to the wanted one, as a share of the axis, ends the search for a pool."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """The rows that may be chosen (`matrix`, incidence [n, K]), how they are pruned, and what fits."""

    matrix: csr_array
    limits: Limits
    pruned: Pruned
    uniformity: Uniformity
    seed: int

    def choice(self, position: int, *, fill: bool = True) -> Choice:
        """The choice from the pool left after so many removals; its rows are rows of the whole matrix."""
        rows = self.pruned.rows(position)
        made = choose(
            self.matrix[rows],
            self.limits.at(rows),
            uniformity=self.uniformity if fill else None,
            generator=np.random.default_rng(self.seed),
        )
        return Choice(rows=rows[made.rows], num_cover=made.num_cover, holders=made.holders)

    @cached_property
    def most(self) -> int:
        """k_max: types that greedy maximum coverage reaches at this budget, usually all."""
        return self.choice(0, fill=False).num_types

    @property
    def fewest(self) -> int:
        """k_min: types left in the smallest pool that still fills the budget."""
        return min(self.most, int(self.pruned.types_after[-1]))

    def types_at(self, percent: float) -> int:
        """The wanted number of types at a point of the axis (0 = fewest, 100 = most)."""
        return round(self.fewest + percent / 100 * (self.most - self.fewest))

    def percent_of(self, num_types: int) -> float:
        """Where a number of types lies on the axis; 100 when the axis has no length."""
        length = self.most - self.fewest
        return 100.0 * (num_types - self.fewest) / length if length else 100.0

    def at(self, percent: float) -> Choice:
        """The choice at a point of the axis.

        The pool is the largest with at most the wanted number of types. Where the budget is too
        small to cover it, a larger pool is searched from which the budget reaches that number.
        """
        wanted = self.types_at(percent)
        if wanted >= self.most:
            return self.choice(0)
        position = min(self.pruned.position(wanted), len(self.pruned.order))
        if position and self.choice(position, fill=False).num_types < self.pruned.types_after[position]:
            position = self._search(wanted, position)
        return self.choice(position)

    def _search(self, wanted: int, high: int) -> int:
        """By bisection: more removals, fewer types within reach."""
        low, slack = 0, _NEAR_ENOUGH * (self.most - self.fewest)
        while high - low > 1:
            middle = (low + high) // 2
            reached = self.choice(middle, fill=False).num_types
            if abs(reached - wanted) <= slack:
                return middle
            low, high = (middle, high) if reached > wanted else (low, middle)
        return high
