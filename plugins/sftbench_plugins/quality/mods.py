"""The selector `mods`: spread seeds, then what the model has still not learnt from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Needs, PartUse, Pool, Recipe, Scores, Selection, UsageError, param
from sftbench_plugins.quality.judging import Answering
from sftbench_plugins.quality.settings import QualitySettings

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Mods(QualitySettings):
    """Model-oriented data selection (arXiv 2311.15653).

    Seeds are rows of good quality, spread by k-center greedy. The base model, fine-tuned on them, answers
    the other good rows; those that it answers badly are added. See the README beside this file.
    """

    name: ClassVar[str] = "mods"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param(
        "paper", "official: first seed and texts for judging answers as in the authors' code; see the README"
    )
    seeds: str = param("5%", "rows that the model is fine-tuned on first, such as 5% or 100")
    below: float = param(0.0, "answers of a quality below this show that a row is needed")
    fill: bool = param(True, "rows answered better fill what is left of the budget, worst answers first")
    max_new_tokens: int = param(256, "tokens of an answer, at most half of what the model reads")
    warmup_epochs: float | None = param(None, "epochs of the fine-tuning on seeds; none: as the run trains")
    warmup_rank: int | None = param(None, "LoRA rank of it, 0 for all weights; none: as the run trains")
    warmup_learning_rate: float | None = param(None, "learning rate of it; none: as the run trains")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is at least 1, not {self.max_new_tokens}")
        if not np.isfinite(self.below):
            raise ValueError(f"below is a number, not {self.below}")

    def needs(self) -> Needs:
        """The fine-tuned model, and what judges its answers."""
        spread = {"component": "instruction", "turns": self.turns, "mode": self.mode}
        trained = {
            "epochs": self.warmup_epochs, "rank": self.warmup_rank, "learning_rate": self.warmup_learning_rate,
        }  # fmt: skip
        given = {name: value for name, value in trained.items() if value is not None}
        recipe = Recipe(
            scorer=PartUse(name="quality", parameters=self.told()),
            selector=PartUse(name="kcenter", parameters=spread),
            budget=self.seeds,
            trainer=PartUse(name="sft", parameters=given),
        )
        folders = {"quality": self.quality_model} if self.has_model else {}
        return Needs(models={"seeded": recipe}, foreign_models=folders, embedder=not self.has_model)

    @property
    def passes_over_pool(self) -> float:
        """An answer reads its prompt and writes about as many tokens again; a model that judges it reads both."""
        return 2.0 if self.has_model else 1.0

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Seeds in the order of k-center, then rows by how badly they were answered.

        Where seeds alone use up the allowance, nothing is answered. Raises `UsageError` without scores of
        the scorer `quality`.
        """
        if scores is None:
            raise UsageError("selector 'mods' needs qualities; a method that uses it has the scorer 'quality'")
        scored, trainable = np.isfinite(scores.values), desk.training_tokens() > 0
        seeds = np.array([pool.index_of[row_id] for row_id in desk.trained_on("seeded").ids], dtype=np.int64)
        others = np.setdiff1d(np.flatnonzero(scored & trainable), seeds)
        has_room = len(allowance.fit(seeds)) == len(seeds) and allowance.pays_for_more(seeds)
        if not has_room:
            desk.log(f"the seeds ({self.seeds}) use up the budget, so that nothing is answered; seeds=... names fewer")
        asked = others if has_room else others[:0]
        answering = Answering(settings=self, max_new_tokens=self.max_new_tokens, official=self.mode == "official")
        qualities, report = answering.judged(pool, asked, desk) if len(asked) else (np.empty(0), {"num_answers": 0})
        ranked, num_badly = self._needed(asked, qualities)
        order = np.concatenate([seeds, ranked])
        chosen = allowance.fit(order)
        is_short = len(chosen) == len(order) and allowance.pays_for_more(chosen)
        num_added = max(0, len(chosen) - len(seeds))
        reasons = np.where(scored, np.where(trainable, "", "nothing_to_train"), "no_score")
        return Selection(
            ids=tuple(pool.ids[row] for row in chosen),
            status="short" if is_short else "full",
            report={
                **report,
                "num_seeds": min(len(seeds), len(chosen)),
                "num_answered_badly": num_badly,
                "num_added": min(num_added, num_badly),
                "num_filled": max(0, num_added - num_badly),
                "num_eligible": len(seeds) + len(others),
                "reasons": dict(Counter(reasons[reasons != ""].tolist())),
            },
        )

    def _needed(self, rows: Rows, qualities: npt.NDArray[np.float64]) -> tuple[Rows, int]:
        """Those of the rows that may be added, worst answers first, and how many of them were answered badly."""
        badly = qualities < self.below
        wanted = np.isfinite(qualities) if self.fill else badly
        return rows[wanted][np.argsort(qualities[wanted], kind="stable")], int(badly.sum())
