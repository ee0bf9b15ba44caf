"""A served model as the user writes it: `vllm:MODEL[dtype=bfloat16,tensor_parallel=2]`."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from sftbench.errors import UsageError
from sftbench.parameters import build, param, split_list
from sftbench.rooms import Json

PREFIX = "vllm:"
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

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; known: {', '.join(DTYPES)}")
        for name in ("tensor_parallel", "data_parallel", "max_model_len", "kv_cache_gib"):
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


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model, by folder or hub id, and how it is served."""

    model: str
    options: ServeOptions = dataclasses.field(default_factory=ServeOptions)

    @classmethod
    def parse(cls, text: str) -> ServedModel:
        """Raises `UsageError` for anything else than `vllm:MODEL[option=value,...]`, with the nearest option."""
        rest = text.strip().removeprefix(PREFIX)
        model, sign, inside = rest.partition("[") if rest.endswith("]") else (rest, "", "")
        if not is_served(text) or not model.strip() or (not sign and set("[]") & set(rest)):
            raise UsageError(f"cannot read the served model '{text}': expected vllm:MODEL or vllm:MODEL[option=value]")
        given: dict[str, Json] = {}
        for pair in split_list(inside.removesuffix("]")):
            name, equals, value = (each.strip() for each in pair.partition("="))
            if not equals:
                raise UsageError(f"cannot read '{pair}' in '{text}': expected option=value")
            if name in given:
                raise UsageError(f"'{name}' is given twice in '{text}'")
            given[name] = value
        return cls(model=model.strip(), options=build(ServeOptions, given, where="a served model"))

    def settled(self, *, path: Path, on_gpu: bool) -> ServedModel:
        """The same by the folder it lies in, with the precision that it is served in where none was given."""
        dtype = self.options.dtype or (None if on_gpu else "float32")
        return ServedModel(model=str(path), options=dataclasses.replace(self.options, dtype=dtype))

    def identity(self, *, name: str, fingerprint: str) -> str:
        """What its answers are known by, on any machine: name, content, and the options that change numbers."""
        numbers = {key: value for key, value in self.options.given().items() if key in OF_NUMBERS}
        return f"{PREFIX}{name}@{fingerprint}.{SERVING_VERSION}{_inside(numbers)}"

    def __str__(self) -> str:
        return f"{PREFIX}{self.model}{_inside(self.options.given())}"


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


def _inside(options: dict[str, Json]) -> str:
    pairs = ",".join(f"{name}={value}" for name, value in sorted(options.items()))
    return f"[{pairs}]" if pairs else ""
