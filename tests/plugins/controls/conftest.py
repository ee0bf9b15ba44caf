"""A pool of made-up rows, and a desk that holds what a control asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sftbench import Pool, Selection
from sftbench.pools import pool_from_rows

Vector = npt.NDArray[np.float64]


@dataclass(kw_only=True)
class FakeDesk:
    """Answers what it was given; anything else is an attribute error."""

    seed: int = 0
    lengths: npt.NDArray[np.int64] | None = None
    tokens: npt.NDArray[np.int64] | None = None
    flops: Vector | None = None
    other: Selection | None = None
    cost: dict[str, float] = field(default_factory=dict)
    words: Any = None

    def response_lengths(self) -> npt.NDArray[np.int64] | None:
        return self.lengths

    def training_tokens(self) -> npt.NDArray[np.int64]:
        """One for every row there may be, unless the test says otherwise."""
        return np.ones(10_000, dtype=np.int64) if self.tokens is None else self.tokens

    def training_flops(self) -> Vector | None:
        return self.flops

    def other_selection(self) -> Selection | None:
        return self.other

    def other_cost(self) -> dict[str, float]:
        return self.cost

    def tokenizer(self, name: str) -> Any:
        assert name == "base"
        return self.words


@pytest.fixture
def desk() -> Callable[..., Any]:
    return FakeDesk


@pytest.fixture
def make_pool(tmp_path: Path) -> Callable[..., Pool]:
    """A pool with these responses; a list stands for several assistant turns."""

    def make(responses: list[str | list[str]]) -> Pool:
        rows = []
        for at, given in enumerate(responses):
            turns = []
            for text in [given] if isinstance(given, str) else given:
                turns += [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]
            rows.append({"id": f"r{at}", "messages": turns})
        return pool_from_rows(rows, into=tmp_path / "rows.arrow", key="k")

    return make
