"""How a model is fine-tuned: the settings that every trainer shares, importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from sftbench.parameters import param

BILLION = 1e9


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of one fine-tuning; a trainer part may inherit them as its parameters.

    The number of optimiser steps is `epochs` over the trained rows, then held between `min_steps` and
    `max_steps`. Every step sees one global batch, however it is cut into micro-batches or over devices.
    Raises ValueError for a setting out of its range.
    """

    epochs: float = param(3.0, "passes over the trained rows; a fraction is allowed")
    learning_rate: float | None = param(None, "peak learning rate; none: by model size, see `for_model`")
    rank: int = param(0, "rank of the LoRA adapter; 0 trains all weights")
    alpha: int = param(16, "LoRA scaling numerator (the update is multiplied by alpha / rank)")
    dropout: float = param(0.1, "dropout on the input of the LoRA adapter")
    batch_size: int = param(16, "rows per optimiser step, over all devices together")
    schedule: Literal["linear", "cosine", "constant", "exponential"] = param(
        "cosine", "how the learning rate falls after warm-up; exponential: by 0.5 % every 8 steps"
    )
    warmup_share: float = param(0.03, "share of the steps in which the learning rate rises to its peak")
    weight_decay: float = param(0.0, "AdamW weight decay of matrices (never of biases and norms)")
    clip_norm: float = param(1.0, "largest gradient norm; 0 does not clip")
    min_steps: int = param(1, "fewest optimiser steps; a small selection is then repeated for more epochs")
    max_steps: int | None = param(None, "most optimiser steps")
    micro_batch_tokens: int = param(8192, "padded tokens that go through the model at once; changes no gradient")
    activation_checkpointing: bool = param(False, "recompute activations in the backward pass to save memory")

    def __post_init__(self) -> None:
        fewest = {"batch_size": 1, "min_steps": 1, "rank": 0, "clip_norm": 0, "weight_decay": 0, "warmup_share": 0}
        for name, least in {**fewest, "micro_batch_tokens": 1}.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("epochs", "alpha", "peak_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not (0 <= self.dropout < 1 and self.warmup_share <= 1):
            raise ValueError("dropout and warmup_share are shares: from 0 up to 1")
        if self.max_steps is not None and self.max_steps < self.min_steps:
            raise ValueError(f"max_steps ({self.max_steps}) is below min_steps ({self.min_steps})")

    @property
    def passes_per_epoch(self) -> float:
        """Forward passes that an epoch is worth: a backward pass takes two, with LoRA one (no gradient of weights)."""
        return 2.0 if self.rank else 3.0

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate that is meant for a model of a billion parameters and more: as given, or the usual one."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1e-4 if self.rank else 2e-5

    def for_model(self, num_parameters: float) -> Self:
        """These settings with the learning rate settled for a model of this size.

        Where none is given: 2e-5 for all weights and 1e-4 for LoRA, as the papers use on billions of
        parameters; below a billion it grows with one over the square root of the size, up to 1e-3. At
        2e-5 a model of a few million parameters hardly moves in the few steps of a small selection.
        """
        if self.learning_rate is not None:
            return self
        scale = math.sqrt(max(1.0, BILLION / num_parameters))
        return replace(self, learning_rate=min(1e-3, self.peak_learning_rate * scale))


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Learn tokens marked 2 from a frozen teacher: `L = share * CE + (1 - share) * T^2 * CE(teacher, student)`.

    `teacher` is a model name that the desk knows. Both terms are token means over the global batch, both
    distributions are taken at `temperature` (TokenTune, Eq. 10-12). Raises ValueError out of range.
    """

    teacher: str
    cross_entropy_share: float = 0.7
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.cross_entropy_share <= 1:
            raise ValueError(f"the share of cross-entropy lies in 0..1, not {self.cross_entropy_share}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """What the tokens of a step weigh, where that is settled at the step: see `fine_tune`.

    With `keep`, cross-entropy is on that share of the tokens alone, at least one: those with the largest
    `TrainingRow.merits`, to which with `live` the present loss of the model in training is added (RHO-1,
    Eq. 3-5, with the negative loss of a reference as merit). Ranked within the global `batch` or each `sample`.
    With `rows_per_mean`, tokens are averaged over so many rows each and these means averaged, as scripts do
    whose loss is a mean over the micro-batch; without, the mean is over the global batch.
    Raises ValueError out of range.
    """

    keep: float | None = None
    live: bool = False
    scope: Literal["batch", "sample"] = "batch"
    rows_per_mean: int | None = None

    def __post_init__(self) -> None:
        if self.keep is not None and not 0 < self.keep <= 1:
            raise ValueError(f"keep is a share above 0 and at most 1, not {self.keep}")
        if self.rows_per_mean is not None and self.rows_per_mean < 1:
            raise ValueError(f"rows_per_mean must be at least 1, not {self.rows_per_mean}")
