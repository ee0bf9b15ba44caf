"""Models on their way into and out of a training: loaded, given an adapter, saved."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sftbench.engines.loading import load_model, load_tokenizer
from sftbench.engines.training.settings import TrainingSettings
from sftbench.rooms import TrainedModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load(trained: TrainedModel, *, dtype: str, device: torch.device) -> PreTrainedModel:
    """The frozen causal language model in these files, an adapter merged into its base."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    adapter = trained.path if trained.base_path is not None else None
    return load_model(root(trained), adapter=adapter, dtype=dtype, device=device)


def frozen_dtype() -> str:
    """What weights that are not trained are held in: bfloat16 on CUDA, float32 elsewhere."""
    return "bfloat16" if torch.cuda.is_available() else "float32"


def trainable(base: TrainedModel, settings: TrainingSettings, *, seed: int) -> torch.nn.Module:
    """The base model, wholly trainable in float32, or frozen with a LoRA adapter on all linear layers.

    The adapter's initial weights depend on the seed alone.
    """
    model = load(base, dtype=frozen_dtype() if settings.rank else "float32", device=torch.device("cpu"))
    if settings.activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if not settings.rank:
        model.requires_grad_(True)
        return model
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft still asks transformers by a deprecated name.
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        adapted: torch.nn.Module = get_peft_model(model, config)
    return adapted


def save(model: Any, *, base: TrainedModel, out: Path) -> None:
    """Leave the adapter alone, or the whole model in the dtype of its base together with the tokenizer."""
    if hasattr(model, "peft_config"):
        model.save_pretrained(str(out), save_embedding_layers=False)
        return
    from transformers import AutoConfig

    stored_dtype = AutoConfig.from_pretrained(str(root(base))).dtype or torch.float32
    model.to(stored_dtype).save_pretrained(str(out))
    load_tokenizer(root(base)).save_pretrained(str(out))


def root(trained: TrainedModel) -> Path:
    """The folder of the whole model: the base's when `trained` is an adapter."""
    return trained.base_path or trained.path
