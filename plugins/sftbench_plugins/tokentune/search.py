"""The campaign over the clusters: pick one, look into it, learn from that, and so on; the best rows are taken.

`Campaign` takes the best of a cluster at every pull, as the paper says; `Survey` looks first and takes at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench_plugins.exp3 import Values
from sftbench_plugins.tokentune.bandit import Bandit

Rows = npt.NDArray[np.int64]
Examine = Callable[[Rows], Values]
"""The utility of each of these rows; NaN for a row that must not be chosen."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a campaign proceeds.

    `batch` rows are taken per iteration, from `arms_per_iteration` clusters; `warm_start` rows of every
    cluster are examined before the first choice. `reward` says which utilities an arm learns from.
    `guided` False takes random rows of the arm instead of its best (an ablation). `num_looks` is a `Survey`'s, whose
    `batch` counts rows looked into.
    """

    batch: int
    arms_per_iteration: int = 1
    warm_start: int = 8
    reward: Literal["selected", "all_scored"] = "selected"
    guided: bool = True
    num_looks: int = 0


@dataclass(kw_only=True)
class Trace:
    """What happened at every pull, in order: lists of equal length."""

    iteration: list[int] = field(default_factory=list)
    arm: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)


class Campaign:
    """The state of a search: what is known, what is left in every cluster, what was taken.

    `utilities` float64 [n] is NaN where a row was not examined or must not be chosen; `examined` says
    which were. `costs` [n] and `cap` are the budget.
    """

    def __init__(
        self, *, clusters: Sequence[Rows], examine: Examine, bandit: Bandit, plan: Plan, costs: Values, cap: float
    ) -> None:
        self.left = [np.asarray(members, dtype=np.int64) for members in clusters]
        self.examine, self.bandit, self.plan = examine, bandit, plan
        self.costs, self.cap, self.spent = costs, cap * (1 - 1e-12), 0.0
        self.utilities: Values = np.full(len(costs), np.nan)
        self.examined = np.zeros(len(costs), dtype=np.bool_)
        self.taken: list[int] = []
        self.trace = Trace()
        self._watch: Callable[[int], None] = lambda number: None

    @property
    def done(self) -> bool:
        """Whether the budget is met."""
        return self.spent >= self.cap

    def run(self, *, watch: Callable[[int], None] = lambda number: None) -> Rows:
        """The rows taken, in order, up to the one that meets the cap. `watch` gets the number of new ones."""
        self._watch = watch
        if self.plan.warm_start:
            self._warm_up()
        iteration = 0
        while not self.done and self._open().any():
            self._iterate(iteration)
            iteration += 1
        return np.array(self.taken, dtype=np.int64)

    def _open(self) -> npt.NDArray[np.bool_]:
        return np.array([len(members) > 0 for members in self.left], dtype=np.bool_)

    def _ask(self, rows: Rows) -> Rows:
        """Examine those of the rows that are still unknown, and return these."""
        new = rows[~self.examined[rows]]
        if len(new):
            self.examined[new] = True
            self.utilities[new] = self.examine(new)
        return new

    def _warm_up(self) -> None:
        """Examine rows of every cluster, in random order, until each has enough that can be chosen."""
        queues = [self.bandit.rng.permutation(members) for members in self.left]
        wanted = np.full(len(queues), self.plan.warm_start)
        pilots: list[list[float]] = [[] for _ in queues]
        while any(len(queue) and want for queue, want in zip(queues, wanted, strict=True)):
            asked = [queue[:want] for queue, want in zip(queues, wanted, strict=True)]
            self._ask(np.concatenate(asked))
            for arm, rows in enumerate(asked):
                queues[arm] = queues[arm][len(rows) :]
                pilots[arm] += list(_finite(self.utilities[rows]))
                wanted[arm] = self.plan.warm_start - len(pilots[arm])
        self.bandit.warm([np.array(pilot) for pilot in pilots])

    def _iterate(self, iteration: int) -> None:
        missing = self.plan.batch
        per_arm = -(-self.plan.batch // self.plan.arms_per_iteration)
        fresh = np.ones(len(self.left), dtype=np.bool_)
        while missing > 0 and not self.done and (openly := self._open()).any():
            arm = self.bandit.choose(openly & fresh if (openly & fresh).any() else openly)
            fresh[arm] = False
            rows = self._pull(arm, min(missing, per_arm))
            missing -= len(rows)
            self._note(iteration, arm, len(rows))

    def _pull(self, arm: int, number: int) -> Rows:
        members = self.left[arm] if self.plan.guided else self.bandit.rng.permutation(self.left[arm])
        ahead, behind = np.split(members, [len(members) if self.plan.guided else number])
        new = self._ask(ahead)
        usable = ahead[np.isfinite(self.utilities[ahead])]
        if self.plan.guided:
            usable = usable[np.argsort(-self.utilities[usable], kind="stable")]
        rows = self._affordable(usable[:number])
        self.left[arm] = np.concatenate([usable[len(rows) :], behind])
        self.taken += [int(row) for row in rows]
        self._watch(len(rows))
        self.spent += float(self.costs[rows].sum())
        self.bandit.reward(arm, _finite(self.utilities[new if self.plan.reward == "all_scored" else rows]))
        return rows

    def _affordable(self, rows: Rows) -> Rows:
        """Up to and with the row that meets the cap."""
        before = self.spent + np.cumsum(self.costs[rows]) - self.costs[rows]
        return rows[before < self.cap]

    def _note(self, iteration: int, arm: int, taken: int) -> None:
        self.trace.iteration.append(iteration)
        self.trace.arm.append(arm)
        self.trace.taken.append(taken)
        self.trace.samples.append(int(self.bandit.counts[arm]))
        self.trace.mean.append(round(float(self.bandit.means[arm]), 6))


class Survey(Campaign):
    """A campaign that looks into `num_looks` rows, the pilot's included, and takes the best of all that it has seen.

    A pull looks into a handful of rows of its arm, drawn by chance, and the arm learns from all of them. Looks go on
    beyond `num_looks` where the rows seen do not meet the budget. `taken` of a pull in the trace counts rows looked at.
    """

    @property
    def done(self) -> bool:
        """Whether enough rows were seen, and enough of them that can be taken."""
        seen = np.isfinite(self.utilities)
        return int(self.examined.sum()) >= self.plan.num_looks and float(self.costs[seen].sum()) >= self.cap

    def run(self, *, watch: Callable[[int], None] = lambda number: None) -> Rows:
        """The best rows seen, best first, up to the one that meets the cap. `watch` gets the number of new looks."""
        self.left = [self.bandit.rng.permutation(members) for members in self.left]
        super().run(watch=watch)
        seen = np.flatnonzero(np.isfinite(self.utilities))
        rows = self._affordable(seen[np.argsort(-self.utilities[seen], kind="stable")])
        self.spent, self.taken = float(self.costs[rows].sum()), rows.tolist()
        return rows

    def _ask(self, rows: Rows) -> Rows:
        new = super()._ask(rows)
        self._watch(len(new))
        return new

    def _warm_up(self) -> None:
        super()._warm_up()
        self.left = [members[~self.examined[members]] for members in self.left]

    def _pull(self, arm: int, number: int) -> Rows:
        number = min(number, max(1, self.plan.num_looks - int(self.examined.sum())))
        rows, self.left[arm] = np.split(self.left[arm], [number])
        self._ask(rows)
        self.bandit.reward(arm, _finite(self.utilities[rows]))
        return rows


def _finite(values: Values) -> Values:
    return values[np.isfinite(values)]
