"""Models and tokenizers from a folder or a hub name, with errors that say what is missing."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import TOKENIZER_FILES, fingerprint_model, hash_file, key_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_tokenizer(path: Path | str) -> PreTrainedTokenizerFast:
    """The tokenizer of a model. Raises `UsageError` when the model comes without one."""
    from transformers import AutoTokenizer

    folder = model_folder(path)
    # Without its files some tokenizer classes load all the same, with an empty vocabulary.
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise UsageError(f"the model '{path}' has no tokenizer: none of {', '.join(TOKENIZER_FILES[:4])} is there")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(path))
    except (OSError, ValueError, KeyError) as problem:
        raise UsageError(f"the tokenizer of '{path}' cannot be loaded: {problem}") from problem
    if not tokenizer.is_fast:
        raise UsageError(f"the tokenizer of '{path}' has no fast form (tokenizer.json), which tells where tokens lie")
    return tokenizer  # type: ignore[no-any-return]


def load_model(path: Path | str, *, adapter: Path | str | None, dtype: str, device: torch.device) -> PreTrainedModel:
    """A causal language model for inference, an adapter merged into it. `dtype` is `auto` or a name in `DTYPES`.

    `auto` is float32 on a CPU; on an accelerator it is bfloat16 for 16-bit checkpoints, else float32.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    if dtype != "auto" and dtype not in DTYPES:
        raise UsageError(f"unknown dtype '{dtype}'; known: auto, {', '.join(DTYPES)}")
    model_folder(path)
    try:
        stored = AutoConfig.from_pretrained(str(path)).dtype
        wanted = DTYPES.get(dtype) or _fitting(stored, device)
        model: Any = AutoModelForCausalLM.from_pretrained(str(path), dtype=wanted)
        if adapter is not None:
            from peft import PeftModel

            with warnings.catch_warnings():
                # peft still asks transformers by a deprecated name.
                warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
                model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError) as problem:
        raise EnvironmentProblem(f"the model '{path}' cannot be loaded: {problem}") from problem
    _fuse_activations(model)
    return model.to(device).eval().requires_grad_(False)  # type: ignore[no-any-return]


def load_without_weights(path: Path | str) -> PreTrainedModel:
    """A causal language model as its configuration describes it, its generation settings too; no weight is read."""
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    folder = model_folder(path)
    with torch.device("meta"):
        build: Any = AutoModelForCausalLM.from_config
        model: Any = build(AutoConfig.from_pretrained(str(folder)))
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(str(folder))
    return model  # type: ignore[no-any-return]


def save_merged(path: Path | str, adapter: Path | str, out: Path, *, dtype: str | None) -> None:
    """A whole model of a base and an adapter, with its tokenizer, in a folder.

    Its weights are of `dtype` (a name in `DTYPES`), or as those of the base are stored.
    """
    from transformers import AutoConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model: Any = load_model(path, adapter=adapter, dtype="float32", device=torch.device("cpu"))
    stored = AutoConfig.from_pretrained(str(path)).dtype or torch.float32
    model.to(DTYPES[dtype] if dtype else stored).save_pretrained(str(out))
    load_tokenizer(path).save_pretrained(str(out))


class Gelu(torch.nn.Module):
    """GPT-2's activation in few passes: 0.5 (1 + tanh(u)) is sigmoid(2u), and tanh is slow on a CPU."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.device.type != "cpu" or torch.is_grad_enabled():
            return torch.nn.functional.gelu(inputs, approximate="tanh")
        slope = 2 * math.sqrt(2 / math.pi)
        return inputs.square().mul_(0.044715 * slope).add_(slope).mul_(inputs).sigmoid_().mul_(inputs)


def _fuse_activations(model: torch.nn.Module) -> None:
    """The same function as transformers', which spells it out in eight passes over memory."""
    from transformers.activations import NewGELUActivation

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, Gelu())


def fitting_device(device: str | None) -> torch.device:
    """The device named, or the accelerator if there is one, or the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def model_folder(path: Path | str) -> Path:
    """Where the files of a model lie; a hub name is looked up in the cache, then on the hub."""
    folder = Path(path)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or str(path).startswith(".") or str(path).count("/") > 1:
        raise UsageError(f"there is no model folder '{path}'")
    from transformers.utils.hub import cached_file

    try:
        return Path(cached_file(str(path), "config.json") or "").parent
    except OSError as problem:
        raise EnvironmentProblem(f"'{path}' is neither a folder nor a model that the hub or its cache has") from problem


def fingerprint_of(path: Path | str, adapter: Path | str | None) -> str:
    """What identifies a model with its adapter, by content."""
    fingerprint = fingerprint_model(model_folder(path))
    if adapter is None:
        return fingerprint
    files = sorted(each for each in Path(adapter).iterdir() if each.name.startswith("adapter_"))
    return key_of({"base": fingerprint, "adapter": {each.name: hash_file(each) for each in files}})


def _fitting(stored: torch.dtype | None, device: torch.device) -> torch.dtype:
    halved = stored in (torch.float16, torch.bfloat16)
    return torch.bfloat16 if halved and device.type != "cpu" else torch.float32
