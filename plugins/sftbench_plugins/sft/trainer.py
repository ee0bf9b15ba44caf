"""The trainer `sft`: token-mean cross-entropy on the response tokens of the selected rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from sftbench import (
    CROSS_ENTROPY,
    DISTILLATION,
    MASKED,
    Desk,
    Needs,
    Pool,
    Ragged,
    Selection,
    TrainedModel,
    TrainingSettings,
    UsageError,
    param,
)


@dataclass(frozen=True, kw_only=True)
class Sft(TrainingSettings):
    """Supervised fine-tuning of all weights (`rank=0`) or of a LoRA adapter."""

    name: ClassVar[str] = "sft"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    distillation_tokens: Literal["refuse", "mask", "train"] = param(
        "refuse", "what to do with tokens that a selection marks for distillation"
    )

    def needs(self) -> Needs:
        """Nothing beyond the base model."""
        return Needs()

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train the base model; raises UsageError for tokens marked 2 unless `distillation_tokens` says otherwise."""
        from sftbench import fine_tune, training_rows

        rows = training_rows(pool, self.relabelled(selection), desk)
        return fine_tune(rows, settings=self, desk=desk, out=out)

    def relabelled(self, selection: Selection) -> Selection:
        """The selection without distillation tokens."""
        labels = selection.token_labels
        if labels is None or not (labels.values == DISTILLATION).any():
            return selection
        if self.distillation_tokens == "refuse":
            raise UsageError(
                "the selection marks tokens for distillation, and 'sft' has no teacher: "
                "train with 'gated', or with sft[distillation_tokens=mask] or sft[distillation_tokens=train]"
            )
        instead = MASKED if self.distillation_tokens == "mask" else CROSS_ENTROPY
        values = np.where(labels.values == DISTILLATION, np.uint8(instead), labels.values).astype(np.uint8)
        return replace(selection, token_labels=Ragged(values=values, offsets=labels.offsets))
