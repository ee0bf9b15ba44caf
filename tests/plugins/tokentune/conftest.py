"""A desk with tiny random language models, so that the selector runs as it does in a real run, within milliseconds."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sftbench import Component, Encoded, LanguageModel, Pool, Row

LETTERS = string.ascii_lowercase + string.digits + " \n.?"


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token per character."""
    vocabulary = {letter: index for index, letter in enumerate(["<pad>", "<end>", "<unk>", *LETTERS])}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=characters, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", model_max_length=64
    )


@pytest.fixture(scope="session")
def make_model(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], LanguageModel]:
    def make(seed: int) -> LanguageModel:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = GPT2Config(
                vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=1, n_head=2, initializer_range=0.4,
                bos_token_id=None, eos_token_id=1,
            )  # fmt: skip
            return LanguageModel(GPT2LMHeadModel(config).eval(), tokenizer)

    return make


class Desk:
    """What the selector asks of a desk, and how often it asked for rows."""

    def __init__(self, models: dict[str, LanguageModel], vectors: npt.NDArray[np.float32], seed: int = 0) -> None:
        self.models, self.vectors, self.seed = models, vectors, seed
        self.encoded: list[str] = []
        self.advanced = 0

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        return self.models[name]

    def embedded(self, component: Component) -> npt.NDArray[np.float32]:
        assert component == "both"
        return self.vectors

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        rows = list(rows)
        self.encoded += [row.id for row in rows]
        return self.models["base"].encode(rows, template="training")

    def progress(self, total: int, unit: str) -> Any:
        return nullcontext(self)

    def advance(self, amount: int = 1) -> None:
        self.advanced += amount


@pytest.fixture
def make_pool() -> Callable[[Sequence[tuple[str, str]]], Pool]:
    def make(pairs: Sequence[tuple[str, str]]) -> Pool:
        messages = [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            for prompt, response in pairs
        ]
        ids = [f"row-{index}" for index in range(len(pairs))]
        columns = {
            "id": ids,
            "messages": messages,
            "raw": [json.dumps({"id": each}) for each in ids],
            "planted": [None] * len(pairs),
            "planted_spans": [[] for _ in pairs],
        }
        return Pool(dataset=datasets.Dataset.from_dict(columns), key="test", form="messages")

    return make


@pytest.fixture
def make_desk(make_model: Callable[[int], LanguageModel]) -> Callable[..., Desk]:
    def make(num_rows: int, *, seed: int = 0, width: int = 8, **models: LanguageModel) -> Desk:
        vectors = np.random.default_rng(1).normal(size=(num_rows, width)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Desk({"base": make_model(0), "reference": make_model(1), **models}, vectors, seed)

    return make


@pytest.fixture
def pairs() -> list[tuple[str, str]]:
    """Sixty rows: random prompts, responses of 0 to 30 characters."""
    draw = np.random.default_rng(6)

    def text(length: int) -> str:
        return "".join(draw.choice(list(string.ascii_lowercase + " "), length)).strip().ljust(length, "x")

    return [(text(int(draw.integers(3, 12))), text(int(length))) for length in [0, 3, 40, *draw.integers(8, 30, 57)]]
