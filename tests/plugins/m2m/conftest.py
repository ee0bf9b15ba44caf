"""A synthetic corpus with bursty Zipf tokens, and a desk and pools that need no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sftbench import Allowance, Pool

VOCABULARY = 2000


def bursty_tokens(num_rows: int, seed: int, *, exponent: float = 1.2) -> list[npt.NDArray[np.int64]]:
    """Token ids per row: Zipf-Mandelbrot, one third of them copied from at most 50 positions back."""
    draw = np.random.default_rng(seed)
    weights = 1 / (np.arange(1, VOCABULARY + 1) + 2.7) ** exponent
    rows = []
    for length in np.clip(draw.lognormal(3.6, 0.6, num_rows), 5, 250).astype(int):
        fresh = draw.choice(VOCABULARY, length, p=weights / weights.sum())
        place = np.arange(length)
        back = np.where(draw.random(length) < 1 / 3, 1 + (draw.random(length) * np.minimum(place, 50)).astype(int), 0)
        rows.append(fresh[np.maximum(place - back, 0)])
    return rows


@pytest.fixture(scope="session")
def corpus() -> list[npt.NDArray[np.int64]]:
    return bursty_tokens(3000, seed=4)


@pytest.fixture(scope="session")
def matrix(corpus: list[npt.NDArray[np.int64]]) -> csr_array:
    """Rows and the types that occur 3 to 60 times in the corpus; rows without any are left out."""
    counts = np.bincount(np.concatenate(corpus), minlength=VOCABULARY)
    held = [set(np.unique(row[(counts[row] >= 3) & (counts[row] <= 60)]).tolist()) for row in corpus]
    return incidence([types for types in held if types])


def incidence(held: Sequence[set[int]]) -> csr_array:
    """Sets of types as a matrix whose columns are the types that occur, in order."""
    number = {kind: index for index, kind in enumerate(sorted(set().union(*held)))}
    columns = [number[kind] for types in held for kind in sorted(types)]
    ends = np.cumsum([0, *map(len, held)])
    return csr_array(
        (np.ones(len(columns), dtype=np.int8), np.array(columns, dtype=np.int32), ends), shape=(len(held), len(number))
    )


@pytest.fixture(scope="session")
def to_matrix() -> Callable[[Sequence[set[int]]], csr_array]:
    return incidence


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word `w0` ... `w1999`; the unknown word is a special token, and so is the end."""
    vocabulary = {"<unk>": 0, "<end>": 1, **{f"w{number}": number + 2 for number in range(VOCABULARY)}}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<end>", model_max_length=32, truncation_side="right"
    )


@pytest.fixture
def make_pool() -> Callable[[Sequence[tuple[str, str]]], Pool]:
    def make(pairs: Sequence[tuple[str, str]]) -> Pool:
        columns = {
            "id": [f"row-{index}" for index in range(len(pairs))],
            "messages": [
                [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
                for prompt, response in pairs
            ],
            "raw": ["{}"] * len(pairs),
            "planted": [None] * len(pairs),
            "planted_spans": [[] for _ in pairs],
        }
        return Pool(dataset=datasets.Dataset.from_dict(columns), key="test", form="messages")

    return make


class Desk:
    """What the selector asks of a desk."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, pool: Pool, scratch: Path, seed: int) -> None:
        self._tokenizer, self._pool, self.scratch, self.seed = tokenizer, pool, scratch, seed
        self.logged: list[str] = []
        self.advanced = 0

    def tokenizer(self, name: str = "base") -> PreTrainedTokenizerFast:
        assert name in ("base", "foreign")
        return self._tokenizer

    def response_lengths(self) -> npt.NDArray[np.int64]:
        return np.array([len(row.response.split()) for row in self._pool], dtype=np.int64)

    def progress(self, total: int, unit: str) -> Any:
        return nullcontext(self)

    def advance(self, amount: int = 1) -> None:
        self.advanced += amount

    def log(self, message: str) -> None:
        self.logged.append(message)


@pytest.fixture
def make_desk(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Callable[..., Desk]:
    def make(pool: Pool, *, seed: int = 0) -> Desk:
        return Desk(tokenizer, pool, tmp_path, seed)

    return make


@pytest.fixture
def rows_allowed() -> Callable[[Pool, int], Allowance]:
    def allow(pool: Pool, num_rows: int) -> Allowance:
        return Allowance(cap=float(num_rows), row_costs=np.ones(len(pool)), unit="rows")

    return allow
