"""A desk with small random models over bytes, and pools of conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sftbench import LanguageModel, Pool, TrainedModel
from sftbench.pools import pool_from_rows


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class StandInDesk:
    """What the parts ask of a desk, and nothing else."""

    pool: Pool
    models: Mapping[str, LanguageModel]
    folders: Mapping[str, Path] = field(default_factory=dict)
    vectors: npt.NDArray[np.float32] | None = None
    asked: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        self.asked.append(f"{name}:{dtype}")
        return self.models[name]

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path=self.folders[name])

    def embedded(self, component: str) -> npt.NDArray[np.float32]:
        assert component == "both"
        assert self.vectors is not None
        return self.vectors

    def meter(self, **amounts: float) -> None:
        self.spent.update(amounts)

    def stand_in(self, what: str) -> None:
        self.stand_ins.append(what)

    def log(self, message: str) -> None:
        self.logged.append(message)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        count = Count()
        yield count
        assert count.total == total


def byte_model(*, seed: int = 0, window: int = 700) -> LanguageModel:
    """A random GPT-2 over bytes with sharp predictions."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2, n_positions=window)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    return LanguageModel(model, tokenizer)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., LanguageModel]:
    return byte_model


@pytest.fixture
def make_pool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Any]], Pool]:
    """Rows from (asked, answered) pairs, or from conversations: lists of turns that begin with the user's."""

    def make(rows: Sequence[Sequence[str]]) -> Pool:
        roles = ("user", "assistant")
        given = [
            {"id": f"r{at}", "messages": [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(row)]}
            for at, row in enumerate(rows)
        ]
        into: Path = tmp_path_factory.mktemp("pool") / "pool.arrow"
        return pool_from_rows(given, into=into, key="test")

    return make


@pytest.fixture
def make_desk(make_pool: Callable[[Sequence[Any]], Pool]) -> Callable[..., StandInDesk]:
    def make(rows: Sequence[Any], model: LanguageModel | None = None, **more: Any) -> StandInDesk:
        models_ = more.pop("models", {"scoring": model})
        return StandInDesk(pool=make_pool(rows), models=models_, **more)

    return make
