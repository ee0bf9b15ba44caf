"""The trainer `token-cleaning`: cross-entropy on the labelled tokens, every row in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from sftbench import Desk, Needs, Pool, Selection, TrainedModel, TrainingSettings, Weighing, param

MICRO_BATCH_ROWS = 6
"""Rows per device in the released scripts."""


@dataclass(frozen=True, kw_only=True)
class Masked(TrainingSettings):
    """Fine-tuning on tokens labelled 1; a row without any keeps its place in its batch with weight 0.

    The loss is the mean over the trained tokens of the global batch (mode `paper`), or the mean of such means over
    `micro_batch_rows` rows each (mode `official`, where a token's weight depends on the rows beside it).
    """

    name: ClassVar[str] = "token-cleaning"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param("paper", "what the loss is a mean over; see above")
    micro_batch_rows: int = param(MICRO_BATCH_ROWS, "rows that one mean is over, in mode official")

    def needs(self) -> Needs:
        """Nothing beyond the base model."""
        return Needs()

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train the base model. Raises `UsageError` when no token is left, or one is labelled for distillation."""
        from sftbench import fine_tune, training_rows

        rows = training_rows(pool, selection, desk, keep_masked=True)
        return fine_tune(rows, settings=self, desk=desk, out=out, weighing=weighing(self.mode, self.micro_batch_rows))


def weighing(mode: Literal["paper", "official"], micro_batch_rows: int) -> Weighing | None:
    """What the released code's mean over a micro-batch comes to, however a batch is really cut."""
    from sftbench import Weighing

    return Weighing(rows_per_mean=micro_batch_rows) if mode == "official" else None
