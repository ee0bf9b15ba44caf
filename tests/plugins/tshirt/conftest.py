"""A desk, a pool and a small random model for the tests of T-SHIRT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sftbench import LanguageModel, Nll, Passage, PassRequest, PassResult, Pool, Ragged
from sftbench.pools.read import pool_from_rows

MakePool = Callable[[Sequence[Mapping[str, Any]]], Pool]


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class StandInDesk:
    """What the scorer asks of a desk, and nothing else."""

    model: Any
    scratch: Path
    pool: Pool | None = None
    seed: int = 42
    asked_dtypes: list[str] = field(default_factory=list)
    count: Count = field(default_factory=Count)

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> Any:
        self.asked_dtypes.append(dtype)
        return self.model

    def passed(self, request: PassRequest) -> PassResult:
        """The clean pass as the harness defines it."""
        assert self.pool is not None
        encoded = list(self.model.encode(self.pool, template=request.template))
        reasons = {at: each.reason for at, each in enumerate(encoded) if each.reason}
        bos = self.model.bos_token_id
        passages = [
            Passage.conditional(each)
            if request.view == "conditional"
            else Passage.response_only(each, bos_token_id=bos)
            for each in encoded
        ]
        values = [each["nll"] for each in self.model.run(passages, statistics=[Nll()])]
        return PassResult(values=Ragged.of(values), reasons=reasons, notes={})

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        self.count = Count()
        yield self.count
        assert self.count.total == total

    def log(self, message: str) -> None:
        assert message


@pytest.fixture
def make_pool(tmp_path_factory: pytest.TempPathFactory) -> MakePool:
    """Pools from Alpaca rows."""

    def make(rows: Sequence[Mapping[str, Any]]) -> Pool:
        into = tmp_path_factory.mktemp("pool") / "pool.arrow"
        return pool_from_rows([{"input": "", **row} for row in rows], into=into, key="test")

    return make


def _byte_tokenizer(*, bos: bool = False) -> PreTrainedTokenizerFast:
    """One token per byte, but two newlines in a row are one token; with or without a BOS of its own."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    newline = "\u010a"
    vocabulary = {letter: number for number, letter in enumerate([*letters, newline * 2, "<s>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(newline, newline)]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")


def _random_model(*, bos: bool = False, positions: int = 96) -> LanguageModel:
    """A GPT-2 of two layers with random weights, large enough to have opinions."""
    torch.manual_seed(7)
    config = GPT2Config(
        vocab_size=258, n_positions=positions, n_embd=16, n_layer=2, n_head=2, bos_token_id=257, eos_token_id=257
    )
    model = GPT2LMHeadModel(config).eval().requires_grad_(False)
    for weights in model.parameters():
        weights *= 6 if weights.ndim > 1 else 1
    return LanguageModel(model, _byte_tokenizer(bos=bos))


_WORDS = ["The", "cat", "sat", "on", "a", "mat", "and", "saw", "two", "dogs", "run", "far", "away", "over", "hills"]


def _made_rows(count: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Rows of a few words each, ids in order."""
    random = np.random.default_rng(seed)

    def words(low: int, high: int) -> str:
        return " ".join(random.choice(_WORDS, random.integers(low, high)))

    return [{"id": f"r{at}", "instruction": words(1, 5), "output": words(2, 7)} for at in range(count)]


@pytest.fixture
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    return _byte_tokenizer


@pytest.fixture
def make_model() -> Callable[..., LanguageModel]:
    return _random_model


@pytest.fixture
def make_rows() -> Callable[..., list[dict[str, str]]]:
    return _made_rows


@pytest.fixture
def make_desk(tmp_path: Path) -> Callable[..., StandInDesk]:
    def make(model: Any, pool: Pool, **settings: Any) -> StandInDesk:
        return StandInDesk(model=model, pool=pool, scratch=tmp_path, **settings)

    return make
