"""Which rows each round trains on: an arm by its chance, of that the rows of highest utility, within the allowance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sftbench_plugins.exp3 import Exponential, RunningScale
from sftbench_plugins.lead.utility import Utilities

Rows = npt.NDArray[np.int64]


@dataclass(kw_only=True)
class Trace:
    """What happened in every round, in order: lists of equal length."""

    arm: list[int] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
    num_rows: list[int] = field(default_factory=list)
    num_new: list[int] = field(default_factory=list)
    fall_of_utility: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How much a round takes: of the rows of each source in the arm the share `take`, at least `fewest` in all.

    No row is used more than `max_uses` times. What is taken costs `costs` [n] of `cap`: once, or at every use when
    `pays_again`.
    """

    costs: npt.NDArray[np.float64]
    cap: float
    take: float
    fewest: int
    max_uses: int
    pays_again: bool = False


class Draw:
    """The state between rounds: utilities, uses, what was spent, and the bandit over the arms.

    `arms` are rows by position; `source` [n] is a number for each row's data set.
    """

    def __init__(
        self, arms: Sequence[Rows], *, source: Rows, utilities: Utilities, terms: Terms, gamma: float,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.arms, self.source, self.utilities, self.terms, self.rng = arms, source, utilities, terms, rng
        self.bandit, self.scale = Exponential(len(arms), gamma=gamma), RunningScale()
        self.uses = np.zeros(len(source), dtype=np.int64)
        self.taken: list[int] = []
        """Rows in the order of their first use."""
        self.spent = 0.0
        self.trace = Trace()

    def next(self) -> Rows | None:
        """The rows of the next round, best first; None when no unused row can be had any more."""
        takeable = [self._takeable(arm) for arm in self.arms]
        if not any((self.uses[rows] == 0).any() for rows in takeable):
            return None
        arm = self.bandit.draw(np.array([len(rows) > 0 for rows in takeable]), self.rng)
        rows = self._affordable(self._best(takeable[arm]))
        new = self.uses[rows] == 0
        self.spent += float(self.terms.costs[rows if self.terms.pays_again else rows[new]].sum())
        self.uses[rows] += 1
        self.taken += [int(row) for row in rows[new]]
        self.trace.arm.append(arm)
        self.trace.chance.append(round(float(self.bandit.probabilities[arm]), 6))
        self.trace.num_rows.append(len(rows))
        self.trace.num_new.append(int(new.sum()))
        return rows

    def told(self, rows: Rows, losses: npt.NDArray[np.float64]) -> None:
        """Learn from the losses that these rows, of the last round, had in training."""
        fall = self.utilities.update(rows, losses)
        self.bandit.learn(self.trace.arm[-1], self.scale.scaled(fall))
        self.trace.fall_of_utility.append(round(fall, 6))

    def _takeable(self, arm: Rows) -> Rows:
        """Rows of an arm that may be used once more and can be paid."""
        usable = (self.uses[arm] < self.terms.max_uses) & np.isfinite(self.utilities.values[arm])
        free = (self.uses[arm] > 0) & (not self.terms.pays_again)
        return arm[usable & (free | (self.terms.costs[arm] <= self._left))]

    @property
    def _left(self) -> float:
        return self.terms.cap * (1 + 1e-12) - self.spent

    def _best(self, rows: Rows) -> Rows:
        """The best of each source, and of all if these are too few; best first."""
        ranked = rows[np.argsort(-self.utilities.values[rows], kind="stable")]
        wanted = np.zeros(len(ranked), dtype=np.bool_)
        for source in np.unique(self.source[ranked]):
            of_source = np.flatnonzero(self.source[ranked] == source)
            wanted[of_source[: int(self.terms.take * len(of_source))]] = True
        missing = self.terms.fewest - int(wanted.sum())
        if missing > 0:
            wanted[np.flatnonzero(~wanted)[:missing]] = True
        return ranked[wanted]

    def _affordable(self, rows: Rows) -> Rows:
        """Those that the rest of the allowance pays for, one after another; what does not fit is passed over."""
        kept, left = [], self._left
        for row in rows.tolist():
            cost = self.terms.costs[row] if self.terms.pays_again or self.uses[row] == 0 else 0.0
            if cost <= left:
                kept.append(row)
                left -= cost
        return np.array(kept, dtype=np.int64)
