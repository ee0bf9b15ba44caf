"""AdamW and its learning rate, as functions of the settings and the step alone."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from sftbench.engines.training.settings import TrainingSettings

DECAY, DECAY_STEPS = 0.995, 8
"""The schedule `exponential`, as the script of LEAD (arXiv 2505.07437) has it."""


def adamw(model: nn.Module, settings: TrainingSettings) -> AdamW:
    """AdamW (betas 0.9, 0.999) over the trainable weights; only matrices decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=settings.peak_learning_rate, fused=True)


def learning_rate_share(step: int, *, num_steps: int, settings: TrainingSettings) -> float:
    """The learning rate at a step (from 0) as a share of its peak.

    Rises linearly over the first `warmup_share` of the steps, never from 0, so no step is lost; then
    falls linearly or as half a cosine towards 0 at `num_steps`, or by `DECAY` every `DECAY_STEPS`, or stays.
    A step after the last has the rate of the last: how many there will be is not always known beforehand.
    """
    num_warmup = math.ceil(settings.warmup_share * num_steps)
    if step < num_warmup:
        return (step + 1) / (num_warmup + 1)
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "exponential":
        return float(DECAY ** ((step - num_warmup) // DECAY_STEPS))
    done = (min(step, num_steps - 1) - num_warmup) / max(1, num_steps - num_warmup)
    return 1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def schedule(
    optimizer: torch.optim.Optimizer, *, first_step: int, num_steps: int, settings: TrainingSettings
) -> LambdaLR:
    """A scheduler that begins at `first_step`, which is above 0 when a killed training goes on."""
    return LambdaLR(
        optimizer, lambda count: learning_rate_share(first_step + count, num_steps=num_steps, settings=settings)
    )
