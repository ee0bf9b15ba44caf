"""The selector `mods`: spread seeds, then what the model has still not learnt from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from sftbench import (
    Allowance,
    Desk,
    Json,
    Message,
    Needs,
    PartUse,
    Pool,
    Recipe,
    Row,
    Scores,
    Selection,
    UsageError,
    answer_rows,
    param,
)
from sftbench_plugins.quality.scorer import standardised
from sftbench_plugins.quality.settings import QualitySettings

Judge: TypeAlias = "Callable[[Sequence[Row], Sequence[str]], npt.NDArray[np.float64]]"
STAND_IN = "likeness of an answer to the row's own response"
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Mods(QualitySettings):
    """Model-oriented data selection (arXiv 2311.15653).

    Seeds are rows of good quality, spread by k-center greedy. The base model, fine-tuned on them, answers
    the other good rows; those that it answers badly are added. See the README beside this file.
    """

    name: ClassVar[str] = "mods"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    seeds: str = param("2%", "rows that the model is fine-tuned on first, such as 2% or 100")
    below: float = param(0.0, "answers of a quality below this show that a row is needed")
    fill: bool = param(True, "rows answered better fill what is left of the budget, worst answers first")
    max_new_tokens: int = param(256, "tokens of an answer, at most half of what the model reads")
    warmup_epochs: float | None = param(None, "epochs of the fine-tuning on seeds; none: as the run trains")
    warmup_rank: int | None = param(None, "LoRA rank of it, 0 for all weights; none: as the run trains")
    warmup_learning_rate: float | None = param(None, "learning rate of it; none: as the run trains")

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is at least 1, not {self.max_new_tokens}")

    def needs(self) -> Needs:
        """The fine-tuned model, and what judges its answers."""
        spread = {"component": "instruction", "turns": "all" if self.turns == "all" else "first"}
        trained = {
            "epochs": self.warmup_epochs, "rank": self.warmup_rank, "learning_rate": self.warmup_learning_rate,
        }  # fmt: skip
        recipe = Recipe(
            scorer=PartUse(name="quality", parameters=self.told()),
            selector=PartUse(name="kcenter", parameters=spread),
            budget=self.seeds,
            trainer=PartUse(name="sft", parameters=trained),
        )
        folders = {"quality": self.quality_model} if self.has_model else {}
        return Needs(models={"seeded": recipe}, foreign_models=folders, embedder=not self.has_model)

    @property
    def passes_over_pool(self) -> float:
        """An answer reads its prompt and writes about as many tokens again."""
        return 1.0

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Seeds in the order of k-center, then rows by how badly they were answered.

        Raises `UsageError` without scores of the scorer `quality`.
        """
        if scores is None:
            raise UsageError("selector 'mods' needs qualities; a method that uses it has the scorer 'quality'")
        good = np.isfinite(scores.values) & (desk.training_tokens() > 0)
        seeds = np.array([pool.index_of[row_id] for row_id in desk.trained_on("seeded").ids], dtype=np.int64)
        others = np.setdiff1d(np.flatnonzero(good), seeds)
        qualities, report = self._answered(pool, others, desk)
        finite = np.isfinite(qualities)
        badly = finite & (qualities < self.below)
        wanted = finite if self.fill else badly
        ranked = others[wanted][np.argsort(qualities[wanted], kind="stable")]
        order = np.concatenate([seeds, ranked])
        chosen = allowance.fit(order)
        is_short = len(chosen) == len(order) and allowance.pays_for_more(chosen)
        num_added = max(0, len(chosen) - len(seeds))
        return Selection(
            ids=tuple(pool.ids[row] for row in chosen),
            status="short" if is_short else "full",
            report={
                **report,
                "num_seeds": min(len(seeds), len(chosen)),
                "num_answered_badly": int(badly.sum()),
                "num_added": min(num_added, int(badly.sum())),
                "num_filled": max(0, num_added - int(badly.sum())),
                "num_rows": {
                    "good": int(good.sum()),
                    "unscored_or_low": int((~np.isfinite(scores.values)).sum()),
                    "answer_non_finite": int((~finite).sum()),
                    "nothing_to_train": int((np.isfinite(scores.values) & ~good).sum()),
                },
            },
        )

    def _answered(
        self, pool: Pool, rows: npt.NDArray[np.int64], desk: Desk
    ) -> tuple[npt.NDArray[np.float64], dict[str, Json]]:
        """The quality of the fine-tuned model's answer to each of these rows."""
        found: list[npt.NDArray[np.float64]] = [np.empty(0)]
        num_empty = 0
        judge = self._judge(desk)
        with desk.progress(len(rows), "answer") as progress:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                asked = [_until(row, self.turns) for row in pool.take(rows[start : start + _ROWS_AT_ONCE])]
                model = desk.language_model("seeded")
                room = max(1, min(self.max_new_tokens, model.max_length // 2))
                texts = [each.text for each in answer_rows(model, asked, max_new_tokens=room)]
                num_empty += sum(not text.strip() for text in texts)
                found.append(judge(asked, texts))
                progress.advance(len(asked))
        qualities = np.concatenate(found)
        report: dict[str, Json] = {"num_answers": len(rows), "num_empty_answers": num_empty}
        if self.has_model:
            return qualities, {**report, "answers_judged_by": "model"}
        desk.log(f"no quality model is named with quality_model=FOLDER, so a stand-in is used: {STAND_IN}")
        qualities, spread = standardised(qualities)
        return qualities, {**report, "answers_judged_by": f"stand-in: {STAND_IN}", **spread}

    def _judge(self, desk: Desk) -> Judge:
        """The quality model, or how near an answer's embedding is to that of the row's own response (cosine)."""
        if not self.has_model:
            return lambda rows, texts: np.einsum(
                "nd,nd->n", desk.embed(texts), desk.embed([row.response for row in rows])
            ).astype(np.float64)
        from sftbench_plugins.quality.classifier import QualityModel
        from sftbench_plugins.quality.texts import shown

        model = QualityModel(desk.model_path("quality").path, label=self.label, meter=desk.meter)

        def by_model(rows: Sequence[Row], texts: Sequence[str]) -> npt.NDArray[np.float64]:
            given = [shown(_answering(row, text), self.form, self.turns) for row, text in zip(rows, texts, strict=True)]
            values, _ = model.of(given, truncate=self.overlong == "truncate")
            return values

        return by_model


def _until(row: Row, turns: str) -> Row:
    """The row up to the answer that is asked for: the first one, or the last."""
    if turns != "first":
        return row
    roles = [message.role for message in row.messages]
    return replace(row, messages=row.messages[: roles.index("assistant") + 1])


def _answering(row: Row, text: str) -> Row:
    """The row with another answer at its end."""
    return replace(row, messages=(*row.messages[:-1], Message(role="assistant", content=text)))
