"""TokenTune's gated loss: the trainer `gated`."""

from __future__ import annotations

from sftbench import Trainer, hookimpl
from sftbench_plugins.gated.trainer import Gated


@hookimpl
def sftbench_trainers() -> list[type[Trainer]]:
    """Cross-entropy on learnable tokens, distillation from a frozen reference on ambiguous ones."""
    return [Gated]
