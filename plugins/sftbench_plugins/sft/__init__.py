"""Plain supervised fine-tuning: the trainer `sft`."""

from __future__ import annotations

from sftbench import Trainer, hookimpl
from sftbench_plugins.sft.trainer import Sft


@hookimpl
def sftbench_trainers() -> list[type[Trainer]]:
    """Fine-tuning with token-mean cross-entropy, of all weights or of a LoRA adapter."""
    return [Sft]
