"""The trainer `lead`: chooses the rows of each round by what the rounds before have taught about losses."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import (
    Allowance,
    Desk,
    Json,
    Needs,
    PassRequest,
    Pool,
    Selection,
    TrainedModel,
    TrainingSettings,
    UsageError,
    param,
)
from sftbench_plugins.lead.difficulty import Judged, clusters_of, judged
from sftbench_plugins.lead.draw import Draw, Terms
from sftbench_plugins.lead.utility import Utilities

GIVEN = PassRequest(model="base", template="training", view="conditional")
ALONE = PassRequest(model="base", template="training", view="response_only")


@dataclass(frozen=True, kw_only=True)
class Lead(TrainingSettings):
    """Iterative selection while training (LEAD, arXiv 2505.07437), derived anew from the paper.

    A bandit over clusters of difficulty draws an arm; its rows of highest utility are trained on for `epochs` passes;
    their utilities follow from the losses seen there, and the arm is rewarded by how far they fell. One model and one
    optimiser go through all rounds, until the allowance is met.
    """

    name: ClassVar[str] = "lead"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False
    chooses: ClassVar[Literal["rows"]] = "rows"

    mode: Literal["paper"] = param("paper", "the released online script cannot be run, so there is no mode official")
    schedule: Literal["linear", "cosine", "constant", "exponential"] = param(
        "exponential", "how the learning rate falls over all rounds; exponential: by 0.5 % every 8 steps"
    )
    k: int = param(7, "clusters of difficulty, the arms; fewer where fewer rows differ")
    gamma: float = param(0.1, "share of chance in the draw of an arm (EXP3)")
    take: float = param(0.015, "share of an arm's rows, of each source, that a round takes")
    max_rounds: int = param(20, "a round takes at least this part of the allowance, and a batch")
    max_uses: int = param(4, "rounds that a row may be in")
    smoothing: float = param(0.1, "b of the smoothed utility; see weigh")
    weigh: Literal["past", "present"] = param("past", "what b is the weight of; the paper leaves it open")
    cosine: float = param(0.0, "cosine between the last two steps of a row, which losses alone do not tell")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs != int(self.epochs):
            raise ValueError(f"lead trains each round for whole epochs, not {self.epochs}")
        if self.min_steps > 1 or self.max_steps is not None:
            raise ValueError(
                "lead trains as many rounds as its allowance pays for, so min_steps and max_steps cannot be kept; "
                "give lead[min_steps=1,max_steps=none] where the run's trainer has them"
            )
        for each in ("gamma", "take"):
            if not 0 < getattr(self, each) <= 1:
                raise ValueError(f"{each} must be above 0 and at most 1")
        if not (0 <= self.smoothing < 1 and -1 <= self.cosine <= 1):
            raise ValueError("smoothing lies from 0 to below 1, cosine from -1 to 1")
        if min(self.k, self.max_rounds, self.max_uses) < 1:
            raise ValueError("k, max_rounds and max_uses must be at least 1")

    def needs(self) -> Needs:
        """The loss of the base on every response, given its instruction and alone."""
        return Needs(passes=(GIVEN, ALONE))

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train the base model in rounds; `TrainedModel.selection` has the rows in the order of first use.

        Raises `UsageError` when an id stands twice or no row can be drawn.
        """
        from sftbench import Rounds, training_rows

        if len(set(pool.ids)) != len(pool):
            raise UsageError("lead: the pool has an id twice")
        found = self._judged(pool, selection, desk)
        if not np.isfinite(found.difficulty).any():
            raise UsageError(f"lead: no row can be drawn: {dict(Counter(found.reasons.values()))}")
        sources, source = _sources(pool)
        allowance = desk.allowance()
        draw = self._draw(found, source, allowance, desk)
        expected = math.ceil(allowance.num_rows / self.batch_size) * int(self.epochs)
        rounds = Rounds(self, desk, num_steps=expected)
        with desk.progress(allowance.num_rows, "rows") as progress:
            while (rows := draw.next()) is not None:
                chosen = Selection(ids=tuple(pool.ids[row] for row in rows))
                draw.told(rows, rounds.train(training_rows(pool, chosen, desk)).losses)
                progress.advance(draw.trace.num_new[-1])
        made = rounds.finish(out)
        taken = Selection(
            ids=tuple(pool.ids[row] for row in draw.taken),
            scores=found.losses[draw.taken],
            status="short" if self._is_short(draw, allowance) else "full",
        )
        report = {**made.report, **self._told(found, draw, pool, sources, source)}
        if "unknown" in sources:
            desk.log("rows without a data set ('dataset' or 'source') count as one, 'unknown'")
        return replace(made, selection=replace(taken, report=report), report=report)

    def _judged(self, pool: Pool, selection: Selection, desk: Desk) -> Judged:
        """The rows that were given; all others are out of reach."""
        found = judged(desk.passed(GIVEN), desk.passed(ALONE))
        given = np.zeros(len(pool), dtype=np.bool_)
        given[[pool.index_of[row_id] for row_id in selection.ids]] = True
        reasons = {row: reason for row, reason in found.reasons.items() if given[row]}
        return replace(found, difficulty=np.where(given, found.difficulty, np.nan), reasons=reasons)

    def _draw(self, found: Judged, source: npt.NDArray[np.int64], allowance: Allowance, desk: Desk) -> Draw:
        terms = Terms(
            costs=allowance.row_costs,
            cap=allowance.cap,
            take=self.take,
            fewest=max(self.batch_size, math.ceil(allowance.num_rows / self.max_rounds)),
            max_uses=self.max_uses,
            pays_again=allowance.counts_work,
        )
        return Draw(
            clusters_of(found.difficulty, self.k, seed=desk.seed % 2**32),
            source=source,
            utilities=Utilities(
                values=found.losses.copy(), smoothing=self.smoothing, cosine=self.cosine, weigh=self.weigh
            ),
            terms=terms,
            gamma=self.gamma,
            rng=np.random.default_rng([desk.seed, 0x1EAD]),
        )

    def _is_short(self, draw: Draw, allowance: Allowance) -> bool:
        """Rows ran out before the allowance did: what is left would pay for a row like those of the pool."""
        costs = allowance.row_costs
        cheapest = float(costs[costs > 0].min(initial=np.inf))
        return allowance.cap - draw.spent >= cheapest and len(draw.taken) < len(costs)

    def _told(
        self, found: Judged, draw: Draw, pool: Pool, sources: list[str], source: npt.NDArray[np.int64]
    ) -> dict[str, Json]:
        by_source = Counter(sources[source[row]] for row, each in found.reasons.items() if each == "prompt_too_long")
        taken = np.array(draw.taken)
        return {
            "mode": self.mode,
            "num_left_out": dict(sorted(Counter(found.reasons.values()).items())),
            "num_prompt_too_long_by_source": dict(sorted(by_source.items())),
            "num_rows_judged_by_one_token": int(found.single.sum()),
            "num_rows_set_aside": int((~np.isfinite(draw.utilities.values[taken])).sum()),
            "clusters": [
                {
                    "num_rows": len(arm),
                    "num_taken": int((draw.uses[arm] > 0).sum()),
                    "difficulty": [float(found.difficulty[arm].min()), float(found.difficulty[arm].max())],
                }
                for arm in draw.arms
            ],
            "num_rows_by_uses": {str(n): int((draw.uses[taken] == n).sum()) for n in range(1, self.max_uses + 1)},
            "num_sources": len(sources),
            "bandit_trace": asdict(draw.trace),
        }


def _sources(pool: Pool) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The data sets that rows name as `dataset` or `source`, and the number of each row's, [n]."""
    numbers: dict[str, int] = {}
    codes = np.zeros(len(pool), dtype=np.int64)
    for at, row in enumerate(pool):
        original = row.original()
        named = original.get("dataset") or original.get("source")
        codes[at] = numbers.setdefault(str(named) if named else "unknown", len(numbers))
    return list(numbers), codes
