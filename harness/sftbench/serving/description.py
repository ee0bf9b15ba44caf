"""A served model as the user writes it: `vllm:MODEL[dtype=bfloat16,tensor_parallel=2]`."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from sftbench.errors import UsageError, unknown_name
from sftbench.parameters import build, param, split_list
from sftbench.rooms import Json

PREFIX = "vllm:"
IN_PROCESS = "in-process"
BY_VLLM = "vllm"
DTYPES = ("auto", "bfloat16", "float16", "float32")
SERVING_VERSION = "1"
"""Bumped when models are served otherwise (form of conversations, flags), so that answers may differ."""
OF_NUMBERS = ("dtype", "quantization", "max_model_len")
"""Options that may change what a model answers; the others decide only how fast it does."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How a model is served. What is None is left to vLLM, or to `settled`."""

    dtype: str | None = param(None, "auto, bfloat16, float16 or float32; on a CPU float32 if not given")
    tensor_parallel: int = param(1, "GPUs over which each layer is split")
    data_parallel: int = param(1, "copies of the model")
    quantization: str | None = param(None, "a method that vLLM knows, such as fp8 or awq")
    max_model_len: int | None = param(None, "longest prompt and answer together, in tokens")
    gpu_memory: float | None = param(None, "share of each GPU's memory that is taken")
    kv_cache_gib: int | None = param(None, "on a CPU, memory for keys and values in GiB (1 if not given)")
    lora_rank: int | None = param(None, "largest rank of LoRA adapters that are loaded into it; a run sets it itself")

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; known: {', '.join(DTYPES)}")
        for name in ("tensor_parallel", "data_parallel", "max_model_len", "kv_cache_gib", "lora_rank"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.gpu_memory is not None and not 0 < self.gpu_memory <= 1:
            raise ValueError(f"gpu_memory is {self.gpu_memory}; it is a share, above 0 and at most 1")
        if self.quantization is not None and not re.fullmatch(r"[A-Za-z0-9][\w-]*", self.quantization):
            raise ValueError(f"quantization is {self.quantization!r}; expected a name, such as fp8")

    def given(self) -> dict[str, Json]:
        """Those that differ from the defaults."""
        return {
            each.name: getattr(self, each.name)
            for each in dataclasses.fields(self)
            if getattr(self, each.name) != each.default
        }

    def of_numbers(self) -> dict[str, Json]:
        """Those given that may change what a model answers."""
        return {name: value for name, value in self.given().items() if name in OF_NUMBERS}

    def settled(self, *, on_gpu: bool) -> ServeOptions:
        """With the precision that models are served in where none was given."""
        return dataclasses.replace(self, dtype=self.dtype or (None if on_gpu else "float32"))


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model, by folder or hub id, and how it is served."""

    model: str
    options: ServeOptions = dataclasses.field(default_factory=ServeOptions)

    @classmethod
    def parse(cls, text: str) -> ServedModel:
        """Raises `UsageError` for anything else than `vllm:MODEL[option=value,...]`, with the nearest option."""
        rest = text.strip().removeprefix(PREFIX)
        # A folder may have brackets in its path: the last ones are those of the options, if there are any.
        model, sign, inside = rest.rpartition("[") if rest.endswith("]") else (rest, "", "")
        if not is_served(text) or not model.strip() or (not sign and model.count("[") != model.count("]")):
            raise UsageError(f"cannot read the served model '{text}': expected vllm:MODEL or vllm:MODEL[option=value]")
        return cls(model=model.strip(), options=_options(inside.removesuffix("]"), text))

    def settled(self, *, path: Path, on_gpu: bool) -> ServedModel:
        """The same by the folder it lies in, with the precision that it is served in where none was given."""
        return ServedModel(model=str(path), options=self.options.settled(on_gpu=on_gpu))

    def identity(self, *, name: str, fingerprint: str) -> str:
        """What its answers are known by, on any machine: name, content, and the options that change numbers."""
        return f"{PREFIX}{name}@{fingerprint}.{SERVING_VERSION}{_inside(self.options.of_numbers())}"

    def __str__(self) -> str:
        # Without options a path with brackets would end in what looks like some.
        empty = "[]" if set("[]") & set(self.model) else ""
        return f"{PREFIX}{self.model}{_inside(self.options.given()) or empty}"


@dataclass(frozen=True, kw_only=True)
class AnswerServing:
    """How vLLM serves the models of a run, where it writes their answers: `vllm` or `vllm[dtype=bfloat16]`."""

    options: ServeOptions

    @classmethod
    def parse(cls, text: str) -> AnswerServing | None:
        """None for `in-process`. Raises `UsageError` for anything else, with the nearest option or word."""
        word, sign, inside = text.strip().partition("[")
        if word == IN_PROCESS and not sign:
            return None
        if word.startswith(PREFIX):
            raise UsageError(f"--answers {text}: the models are those of the run; expected vllm or vllm[option=value]")
        if word not in (IN_PROCESS, BY_VLLM):
            raise unknown_name("--answers", word, (IN_PROCESS, BY_VLLM))
        if word == IN_PROCESS or (sign and not inside.endswith("]")):
            raise UsageError(f"cannot read '--answers {text}': expected in-process, vllm or vllm[option=value]")
        return cls(options=_options(inside.removesuffix("]"), text))

    def settled(self, *, on_gpu: bool) -> AnswerServing:
        """With the precision that models are served in where none was given."""
        return AnswerServing(options=self.options.settled(on_gpu=on_gpu))

    @property
    def identity(self) -> str:
        """What sets answers apart that are written so, on any machine: prompts are token ids in the training form."""
        return f"{BY_VLLM}-tokens.{SERVING_VERSION}{_inside(self.options.of_numbers())}"

    def of(self, folder: str) -> str:
        """The description of one model."""
        return str(ServedModel(model=folder, options=self.options))

    def __str__(self) -> str:
        return f"{BY_VLLM}{_inside(self.options.given())}"


def is_served(text: str) -> bool:
    """Whether a language model is one to serve, and not one behind a URL."""
    return text.strip().startswith(PREFIX)


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer in a model folder says how a conversation is written."""
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False


def _options(inside: str, text: str) -> ServeOptions:
    """What stands in the brackets of `text`. Raises `UsageError` that names what cannot be read."""
    given: dict[str, Json] = {}
    for pair in split_list(inside):
        name, equals, value = (each.strip() for each in pair.partition("="))
        if not equals:
            raise UsageError(f"cannot read '{pair}' in '{text}': expected option=value")
        if name in given:
            raise UsageError(f"'{name}' is given twice in '{text}'")
        given[name] = value
    return build(ServeOptions, given, where="a served model")


def _inside(options: dict[str, Json]) -> str:
    pairs = ",".join(f"{name}={value}" for name, value in sorted(options.items()))
    return f"[{pairs}]" if pairs else ""
