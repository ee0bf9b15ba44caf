"""The trainer `gated`: each response token is learnt by cross-entropy, distilled from a reference, or ignored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from sftbench import Desk, Distillation, Needs, Pool, Selection, TrainedModel, TrainingSettings, Weighing, param
from sftbench_plugins.reference_recipe import (
    WARMUP_BUDGET,
    WARMUP_EPOCHS,
    WARMUP_LEARNING_RATE,
    WARMUP_RANK,
    warmup_recipe,
)


@dataclass(frozen=True, kw_only=True)
class Gated(TrainingSettings):
    """`L = lam * mean CE over tokens marked 1 + (1 - lam) * T^2 * mean CE(teacher, student) over tokens marked 2`.

    TokenTune, Eq. 10-12. Means are over the global batch; a term without a token is 0.
    """

    name: ClassVar[str] = "gated"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param(
        "paper", "official: means over micro-batches that are averaged then, as in the released script"
    )
    micro_batch_rows: int = param(6, "rows that one mean is over, in mode official")
    lam: float = param(0.7, "weight of the cross-entropy term; the rest is the distillation term's")
    temperature: float = param(1.0, "softens both distributions of the distillation term")
    reference: Literal["warmup", "scoring", "base"] = param(
        "warmup", "the frozen teacher: a warmed-up base model, the run's scoring model, or the base itself"
    )
    warmup_budget: str = param(WARMUP_BUDGET, "random rows that the reference is warmed up on")
    warmup_epochs: float | None = param(WARMUP_EPOCHS, "passes over these rows; none: as the run trains")
    warmup_rank: int | None = param(WARMUP_RANK, "LoRA rank of the warm-up, 0 for all weights; none: as the run trains")
    warmup_learning_rate: float | None = param(
        WARMUP_LEARNING_RATE, "learning rate of the warm-up; none: as the run trains"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.distillation()
        if self.micro_batch_rows < 1:
            raise ValueError("micro_batch_rows must be at least 1")

    @property
    def passes_per_epoch(self) -> float:
        """With the teacher's forward pass, counted for every row: which rows are distilled is not known beforehand."""
        return super().passes_per_epoch + 1.0

    def needs(self) -> Needs:
        """The reference, unless it is the base model."""
        if self.reference != "warmup":
            return Needs(language_models=("scoring",) if self.reference == "scoring" else ())
        recipe = warmup_recipe(
            budget=self.warmup_budget,
            epochs=self.warmup_epochs,
            rank=self.warmup_rank,
            learning_rate=self.warmup_learning_rate,
        )
        return Needs(models={"reference": recipe})

    def distillation(self) -> Distillation:
        """Teacher, weights and temperature."""
        teacher = "reference" if self.reference == "warmup" else self.reference
        return Distillation(teacher=teacher, cross_entropy_share=self.lam, temperature=self.temperature)

    def weighing(self) -> Weighing | None:
        """What the released script's mean over a micro-batch comes to, however a batch is really cut."""
        from sftbench import Weighing

        return Weighing(rows_per_mean=self.micro_batch_rows) if self.mode == "official" else None

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train the base model; raises UsageError when the teacher knows more tokens than the student."""
        from sftbench import fine_tune, training_rows

        rows = training_rows(pool, selection, desk)
        return fine_tune(
            rows, settings=self, desk=desk, out=out, distillation=self.distillation(), weighing=self.weighing()
        )
