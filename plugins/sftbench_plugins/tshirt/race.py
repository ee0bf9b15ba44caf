"""The race: further noisy copies only of rows whose place in the choice is still open, until few can be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Json
from sftbench_plugins.tshirt.belief import USUAL, Belief, FloatArray, IndexArray, Rows, Tally, fit_prior
from sftbench_plugins.tshirt.copies import selective_ifd
from sftbench_plugins.tshirt.pilot import Deltas
from sftbench_plugins.tshirt.stages import Stages, hierarchical

Ask: TypeAlias = Callable[[IndexArray, int, int], Iterator[tuple[int, Deltas]]]
"""Differences [last - first, k] of the copies number `first` to `last` of each of these rows, with its position."""

FIRST_DRAWS = 2
_NUM_SAMPLES = 256
_GROWTH = 1.6
_STAKE_TO_GO_ON = 0.05
_STAKE_OF_FIRST_STAGE = 0.5
"""A row that may or may not pass the first stage moves its cut for all others, also if it cannot win itself."""


class Runners:
    """What is known of every row so far: `num_draws` int64 [n], tallies of S-IFD and IFD, and which rows are out."""

    def __init__(self, *, clean_sifd: FloatArray, clean_ifd: FloatArray, num_tokens: IndexArray) -> None:
        """Rows with `num_tokens` 0 are out from the start; their other numbers play no part."""
        self.num_draws = np.zeros(len(num_tokens), dtype=np.int64)
        self.sifd, self.ifd = Tally(len(num_tokens)), Tally(len(num_tokens))
        self.out = num_tokens == 0
        self.reasons: dict[int, str] = {}
        tokens = np.maximum(num_tokens, 1)
        self.clean_sifd = Rows(clean=np.where(self.out, 1.0, clean_sifd), num_tokens=tokens)
        self.clean_ifd = Rows(clean=np.where(self.out, 1.0, clean_ifd), num_tokens=tokens)

    def see(self, row: int, deltas: Deltas, threshold: np.float64) -> None:
        """Further copies of a row. One that is not finite takes the row out, as in the exact form."""
        self.num_draws[row] += len(deltas)
        with np.errstate(over="ignore", invalid="ignore"):
            ifd = np.exp(deltas.mean(axis=1, dtype=np.float64))
            selective = selective_ifd(deltas, threshold)
        if not (np.isfinite(deltas).all() and np.isfinite(ifd).all() and np.isfinite(selective.values).all()):
            self.out[row] = True
            self.reasons[row] = "non_finite"
            return
        self.ifd.add(row, ifd)
        self.sifd.add(row, np.where(selective.num_kept == 0, np.nan, selective.values))

    @property
    def num_empty(self) -> IndexArray:
        """Copies of each row without an informative token."""
        return self.num_draws - self.sifd.counts

    def hopeless(self) -> npt.NDArray[np.bool_]:
        """Rows that are out, and those of whose copies so far more than half have no informative token."""
        return np.asarray(self.out | (2 * self.num_empty > self.num_draws))


class Chances(NamedTuple):
    """In which share of the ways that it may end each row is chosen, and past the first stage; float64 [n] each.

    `short` is the share in which the eligible rows are too few for the budget, and `by_noise` the share of the
    choice that a run with all copies and another seed is expected not to have; `mean` and `std` are the S-IFD that
    each row is expected to end with.
    """

    chosen: FloatArray
    first: FloatArray
    short: float
    by_noise: float
    mean: FloatArray
    std: FloatArray


class Bet(NamedTuple):
    """Rows by their chance to be chosen, as many as the budget takes, and the share of them expected to be wrong."""

    rows: IndexArray
    doubt: float


@dataclass(kw_only=True, eq=False)
class Race:
    """Rounds of further copies. After each, the rule is applied to samples of how the copies to come may turn out.

    What is bet on is the choice of the exact form from the *same* draws and the same threshold: a row has
    `num_draws` copies, and one whose copies were all seen has no chance left in it. With p_i the share of
    samples in which row i is chosen, the rows of highest p are the choice that is expected to agree most with
    the exact one, and the mean of 1 - p_i over them, the *doubt*, is the share of it that is expected to be wrong.

    Every sample also says what the exact form would choose from as many other draws of the same rows. The mean
    share by which the two differ is what *other noise* changes: the agreement that is there to be had. The race
    ends when doubt <= `tolerance` * other noise, or when no row has copies to come that could change something.

    What this promises: if the copies of a row are independent and normal, and rows differ from each other as
    the prior says (see `sftbench_plugins.tshirt.belief`), then p_i is the probability that the exact form
    chooses row i, given all that was seen. With `tolerance` at most 1 the choice is then expected to agree with
    the exact one at least as well as two exact ones with different seeds agree with each other; with 0 it is the
    exact one but for chances too small to be sampled. It is conditional on what was seen, so that looking after
    every round and stopping when it looks good takes nothing from it.

    What is heuristic: copies are only nearly normal; the prior is learnt from the rows and then held for
    known; S-IFD and IFD of a row are sampled as if independent; a row without informative tokens in most of
    its copies so far is held to end like that; a copy that is not drawn is held to be finite; the threshold is
    estimated; shares are of 256 samples, and the best of several such shares is a little too high; which rows get
    copies next is a rule of thumb, which decides about the cost and not about the promise.
    """

    runners: Runners
    ask: Ask
    threshold: np.float64
    allowance: Allowance
    gamma: float
    num_draws: int
    tolerance: float
    rng: np.random.Generator
    log: Callable[[str], None]
    rounds: list[dict[str, Json]] = field(default_factory=list)

    def start(self, pilot: Mapping[int, Deltas]) -> None:
        """Take in the first copies of some rows; they say how noise acts here."""
        for row, deltas in pilot.items():
            self.runners.see(row, deltas, self.threshold)
        self._priors = [USUAL, USUAL]
        self._believe()

    def run(self) -> tuple[Bet, Chances]:
        """After `start`: draw until the bet is good enough or nothing that could be drawn would make it better."""
        while True:
            chances = self.chances()
            bet = self.bet(chances)
            rows = self.open_rows(chances, enough=max(1, len(bet.rows) // 10))
            if bet.doubt <= self.tolerance * chances.by_noise:
                rows = rows[:0]
            spent = int(self.runners.num_draws.sum())
            told = {"doubt": round(bet.doubt, 4), "by_noise": round(chances.by_noise, 4)}
            self.rounds.append({"num_draws": spent, **told, "num_open": len(rows)})
            self.log(
                f"T-SHIRT race: {spent} copies, {bet.doubt:.1%} of the choice in doubt, {chances.by_noise:.1%} would "
                f"be other by other noise, {len(rows)} rows go on"
            )
            if not len(rows):
                return bet, chances
            self.draw(rows)

    def draw(self, rows: IndexArray) -> None:
        """Some more copies of each of these rows, the more the more it has."""
        before = self.runners.num_draws[rows]
        for done in np.unique(before):
            for row, deltas in self.ask(rows[before == done], int(done), next_level(int(done), self.num_draws)):
                self.runners.see(row, deltas, self.threshold)
        self._believe()

    def chances(self) -> Chances:
        """The rule applied to samples of the end."""
        count = len(self.runners.num_draws)
        chosen, first, short, by_noise = np.zeros(count), np.zeros(count), 0, 0.0
        for _ in range(_NUM_SAMPLES):
            sifd, ifd = self.sifd.truth(self.rng), self.ifd.truth(self.rng)
            stages = self._stages(self.sifd.end(sifd, self.rng), self.ifd.end(ifd, self.rng))
            anew = self._stages(self.sifd.end_anew(sifd, self.rng), self.ifd.end_anew(ifd, self.rng))
            chosen[stages.chosen] += 1
            first[stages.first] += 1
            short += len(stages.chosen) == stages.num_eligible
            by_noise += _apart(stages.chosen, anew.chosen)
        mean, std = self.sifd.expected()
        return Chances(
            chosen=chosen / _NUM_SAMPLES,
            first=first / _NUM_SAMPLES,
            short=short / _NUM_SAMPLES,
            by_noise=by_noise / _NUM_SAMPLES,
            mean=mean,
            std=std,
        )

    def _stages(self, sifd: tuple[FloatArray, FloatArray], ifd: tuple[FloatArray, FloatArray]) -> Stages:
        mean = np.where(self.runners.hopeless(), np.nan, sifd[0])
        return hierarchical(mean, sifd[1], ifd[0], allowance=self.allowance, gamma=self.gamma)

    def bet(self, chances: Chances) -> Bet:
        """The rows to choose now, likeliest first; where the pool falls short, those more likely in than out."""
        floor = 0.5 if chances.short > 0.5 else 1 / _NUM_SAMPLES
        likely = np.flatnonzero(chances.chosen >= floor)
        ranked = likely[np.lexsort((chances.std[likely], -chances.chosen[likely]))]
        rows = self.allowance.fit(ranked)
        return Bet(rows, float(1 - chances.chosen[rows].mean()) if len(rows) else 0.0)

    def open_rows(self, chances: Chances, *, enough: int) -> IndexArray:
        """Rows with copies to come whose place is open, the most open ones first to be taken."""
        stakes = np.maximum(_openness(chances.chosen), _STAKE_OF_FIRST_STAGE * _openness(chances.first))
        stakes[self.runners.out | (self.runners.num_draws >= self.num_draws)] = 0
        level = _STAKE_TO_GO_ON
        while (stakes > level).sum() < enough and level > 1 / _NUM_SAMPLES:
            level /= 2
        return np.flatnonzero(stakes > level)

    def _believe(self) -> None:
        """Learn the priors again, from where they were, and what follows from them."""
        runners, most = self.runners, np.full(len(self.runners.num_draws), self.num_draws)
        known = (runners.clean_sifd, runners.sifd), (runners.clean_ifd, runners.ifd)
        self._priors = [fit_prior(*each, self.rng, start) for each, start in zip(known, self._priors, strict=True)]
        self.sifd = Belief(self._priors[0], *known[0], num_copies=most - runners.num_empty)
        self.ifd = Belief(self._priors[1], *known[1], num_copies=most)


def next_level(num_draws: int, most: int) -> int:
    """How many copies a row has after its next round."""
    level = max(num_draws + 1, FIRST_DRAWS, math.ceil(_GROWTH * num_draws))
    # A last round for a few copies costs more than it saves.
    return most if _GROWTH * level > 1.25 * most else level


def _apart(one: IndexArray, other: IndexArray) -> float:
    """The share of the larger choice that the two do not have in common."""
    return 1 - len(np.intersect1d(one, other, assume_unique=True)) / max(len(one), len(other), 1)


def _openness(share: FloatArray) -> FloatArray:
    return np.minimum(share, 1 - share)
