"""Options of a served model that vLLM would refuse only when it starts, hours into a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.serving.description import ServeOptions

WINDOWS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


def refuse_unfit(options: ServeOptions, folder: Path, *, text: str, num_gpus: int) -> None:
    """Raises `UsageError` for a window above the model's, and for more GPUs than there are; `text` is what was given.

    A model that stretches its positions (`rope_scaling`), or does not tell its window, is left to vLLM.
    """
    wanted, window = options.max_model_len, _window(folder)
    if wanted is not None and window is not None and wanted > window:
        raise UsageError(f"{text}: max_model_len is {wanted}, and the model has a window of {window} tokens")
    num = options.tensor_parallel * options.data_parallel
    if num > max(1, num_gpus):
        there = f"{num_gpus} can be seen" if num_gpus else "there is none, and a CPU is one place"
        raise UsageError(f"{text}: tensor_parallel times data_parallel asks for {num} GPUs; {there}")


def _window(folder: Path) -> int | None:
    try:
        told: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    rope = told.get("rope_scaling") or told.get("rope_parameters") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default" or "factor" in rope:
        return None
    return next((int(told[name]) for name in WINDOWS if isinstance(told.get(name), int)), None)
