"""Pools, allowances and a desk that only watches progress: all that ZIP asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench import Allowance, Pool
from sftbench.pools import pool_from_rows


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


class StandInDesk:
    """A desk of which only progress is used."""

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        count = Count()
        yield count
        assert count.total <= total


@pytest.fixture
def desk() -> Any:
    return StandInDesk()


@pytest.fixture
def make_pool(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pool]:
    def make(rows: Sequence[Mapping[str, Any]]) -> Pool:
        into: Path = tmp_path_factory.mktemp("pool") / "pool.arrow"
        return pool_from_rows(rows, into=into, key="test")

    return make


@pytest.fixture
def rows_allowed() -> Callable[[Pool, float], Allowance]:
    """A budget in rows."""
    return lambda pool, cap: Allowance(cap=float(cap), row_costs=np.ones(len(pool)), unit="rows")


@pytest.fixture
def make_rows() -> Callable[..., list[dict[str, str]]]:
    """Alpaca rows of made-up words: some rare, some in every row."""

    def make(count: int, *, seed: int = 0, words: int = 300) -> list[dict[str, str]]:
        draw = np.random.default_rng(seed)
        lexicon = ["".join(draw.choice(list("abcdefghijklmnop"), draw.integers(2, 9))) for _ in range(words)]
        chances = 1 / np.arange(1, words + 1)

        def text(length: int) -> str:
            return " ".join(draw.choice(lexicon, length, p=chances / chances.sum()))

        return [
            {"id": f"r{at}", "instruction": text(8), "input": "", "output": text(int(draw.integers(12, 40)))}
            for at in range(count)
        ]

    return make
