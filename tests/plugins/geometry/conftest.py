"""Vectors, a pool to go with them, and a desk that hands them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sftbench import Allowance, Pool
from sftbench.pools import pool_from_rows

Vectors = npt.NDArray[np.float32]


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class StandInDesk:
    """What the selectors ask of a desk, and nothing else."""

    vectors: Vectors
    seed: int = 0
    asked: list[str] = field(default_factory=list)
    embedded_texts: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def embedded(self, component: str) -> Vectors:
        self.asked.append(component)
        return self.vectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded_texts += texts
        return self.vectors[: len(texts)]

    def meter(self, **amounts: float) -> None:
        self.spent.update(amounts)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        count = Count()
        yield count
        assert count.total <= total


@pytest.fixture
def make_desk() -> Callable[..., StandInDesk]:
    def make(vectors: Vectors, **rest: Any) -> StandInDesk:
        return StandInDesk(vectors=vectors, **rest)

    return make


@pytest.fixture
def make_pool(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pool]:
    """A pool of so many plain rows, or of the rows given."""

    def make(rows: int | Sequence[Mapping[str, Any]]) -> Pool:
        if isinstance(rows, int):
            rows = [{"id": f"r{at}", "instruction": f"question {at}", "output": f"answer {at}"} for at in range(rows)]
        into: Path = tmp_path_factory.mktemp("pool") / "pool.arrow"
        return pool_from_rows(rows, into=into, key="test")

    return make


@pytest.fixture
def allow() -> Callable[..., Allowance]:
    """A budget in rows, or in what rows cost."""

    def make(pool: Pool, cap: float, costs: Sequence[float] | None = None) -> Allowance:
        row_costs = np.ones(len(pool)) if costs is None else np.asarray(costs, dtype=float)
        return Allowance(cap=float(cap), row_costs=row_costs, unit="rows" if costs is None else "tokens")

    return make


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Brought to length 1."""
    wide = np.asarray(vectors, dtype=np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def make_vectors() -> Callable[..., Vectors]:
    """Unit vectors around some directions, as embeddings of texts on some topics are."""

    def make(count: int, *, width: int = 16, topics: int = 8, spread: float = 0.5, seed: int = 0) -> Vectors:
        draw = np.random.default_rng(seed)
        centres = unit(draw.normal(size=(topics, width)))
        noise = draw.normal(size=(count, width)) / np.sqrt(width)
        return unit(centres[draw.integers(0, topics, count)] + spread * noise)

    return make
