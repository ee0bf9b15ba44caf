"""Rows in clusters whose ratings are wrong in a known way, a desk, and a language model that says what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

from sftbench import ChatAnswer, ChatRequest, LanguageModel, Pool
from sftbench.pools import pool_from_rows

NUM_CLASSES = 6


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class ScriptedChat:
    """Answers by a function of the text it is shown and of how often it was asked."""

    answer: Callable[[str, int], str]
    model: str = "scripted"
    asked: list[ChatRequest] = field(default_factory=list)
    was_lenient: bool = False

    def ask(
        self,
        requests: Sequence[ChatRequest],
        parse: Callable[[str], Any],
        *,
        num_attempts: int = 2,
        lenient: bool = False,
    ) -> list[ChatAnswer[Any]]:
        self.asked += requests
        self.was_lenient = lenient
        return [self._one(request, parse, num_attempts) for request in requests]

    def _one(self, request: ChatRequest, parse: Callable[[str], Any], num_attempts: int) -> ChatAnswer[Any]:
        text = None
        for attempt in range(1, num_attempts + 1):
            text = self.answer(request.messages[-1].content, attempt)
            if text == "no answer":
                return ChatAnswer(value=None, text=None, reason="model_error", attempts=attempt)
            try:
                return ChatAnswer(value=parse(text), text=text, reason=None, attempts=attempt)
            except ValueError:
                continue
        return ChatAnswer(value=None, text=text, reason="parse_error", attempts=num_attempts)


@dataclass(kw_only=True)
class StandInDesk:
    """What the scorer asks of a desk, and nothing else."""

    pool: Pool
    vectors: npt.NDArray[np.float32]
    model: LanguageModel
    talker: ScriptedChat | None = None
    seed: int = 0
    stand_ins: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    units: list[str] = field(default_factory=list)

    def chat(self, *, stand_in: str) -> ScriptedChat | None:
        if self.talker is None:
            self.stand_ins.append(stand_in)
        return self.talker

    def embedded(self, component: str) -> npt.NDArray[np.float32]:
        assert component == "both"
        return self.vectors

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        assert (name, dtype) == ("scoring", "float32")
        return self.model

    def tokenizer(self, name: str = "base") -> PreTrainedTokenizerFast:
        assert name == "scoring"
        return self.model.tokenizer

    def meter(self, **amounts: float) -> None:
        self.spent.update(amounts)

    def log(self, message: str) -> None:
        self.logged.append(message)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        self.units.append(unit)
        yield Count()


@pytest.fixture
def make_chat() -> Callable[..., ScriptedChat]:
    return lambda answer: ScriptedChat(answer=answer)


@pytest.fixture(scope="session")
def byte_model() -> LanguageModel:
    """A random GPT-2 over bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2, n_positions=200)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    return LanguageModel(model, tokenizer)


@pytest.fixture
def make_pool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Any]], Pool]:
    """Rows from conversations: lists of turns that begin with the user's."""

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
def make_desk(make_pool: Callable[[Sequence[Any]], Pool], byte_model: LanguageModel) -> Callable[..., StandInDesk]:
    def make(rows: Sequence[Any], **more: Any) -> StandInDesk:
        vectors = more.pop("vectors", None)
        if vectors is None:
            vectors = np.random.default_rng(1).normal(size=(len(rows), 8))
        return StandInDesk(pool=make_pool(rows), vectors=np.asarray(vectors, np.float32), model=byte_model, **more)

    return make


@dataclass(frozen=True, kw_only=True)
class Rated:
    """`vectors` [n, d] in tight clusters, one class each; `noisy` ratings drawn by `matrix` from the `true` ones."""

    vectors: npt.NDArray[np.float32]
    true: npt.NDArray[np.int64]
    noisy: npt.NDArray[np.int64]
    matrix: npt.NDArray[np.float64]


def clusters(num_rows: int, *, seed: int = 0, num_clusters: int = 30, stay: float = 0.7) -> Rated:
    """Ratings that are wrong once in a while, mostly by one class."""
    draw = np.random.default_rng(seed)
    far = np.abs(np.subtract.outer(np.arange(NUM_CLASSES), np.arange(NUM_CLASSES))).astype(float)
    matrix = 0.25**far
    np.fill_diagonal(matrix, 0)
    matrix *= (1 - stay) / matrix.sum(1, keepdims=True)
    np.fill_diagonal(matrix, stay)
    centres = draw.normal(size=(num_clusters, 16))
    member = draw.integers(num_clusters, size=num_rows)
    true = member % NUM_CLASSES
    vectors = centres[member] + 0.15 * draw.normal(size=(num_rows, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    noisy = np.array([draw.choice(NUM_CLASSES, p=matrix[each]) for each in true])
    return Rated(vectors=vectors.astype(np.float32), true=true, noisy=noisy, matrix=matrix)


@pytest.fixture(scope="session")
def make_rated() -> Callable[..., Rated]:
    return clusters
