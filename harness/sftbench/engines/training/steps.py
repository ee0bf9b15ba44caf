"""Which rows make up each optimiser step, and how a step is cut into micro-batches and over processes.

The plan is a pure function of rows, settings and seed, so every process knows the whole of it: the
normalisers of a global batch need no communication, and a killed training goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import TrainingSettings

PADDING_ALLOWED = {"cpu": 64, "cuda": 1024}
"""Padded tokens that cost no more than one more micro-batch (CPU: measured with `benchmarks/training_speed.py`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingPlan:
    """Steps over rows: each epoch is a fresh permutation; its last batch may be smaller."""

    rows: Sequence[TrainingRow]
    settings: TrainingSettings
    seed: int

    @cached_property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.rows) / self.settings.batch_size)

    @cached_property
    def num_steps(self) -> int:
        wanted = max(self.settings.min_steps, round(self.settings.epochs * self.steps_per_epoch))
        return wanted if self.settings.max_steps is None else min(wanted, self.settings.max_steps)

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        epochs = math.ceil(self.num_steps / self.steps_per_epoch)
        return np.stack(
            [np.random.default_rng([self.seed, epoch]).permutation(len(self.rows)) for epoch in range(epochs)]
        )

    @cached_property
    def _weights(self) -> npt.NDArray[np.float64]:
        sums = [(row.ce_weights.sum(dtype=np.float64), row.kd_weights.sum(dtype=np.float64)) for row in self.rows]
        return np.array(sums, dtype=np.float64)

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """The rows of the global batch of a step, by position."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self.settings.batch_size
        return self._order[epoch, place * size : (place + 1) * size]

    def normalisers(self, step: int) -> tuple[float, float]:
        """Sums of cross-entropy and distillation weights over the global batch of a step."""
        ce, kd = self._weights[self.batch(step)].sum(axis=0)
        return float(ce), float(kd)

    def micro_batches(self, step: int, *, rank: int = 0, world_size: int = 1, device: str = "cpu") -> list[list[int]]:
        """This process's share of a step, as lists of row positions of similar length."""
        longest_first = sorted(self.batch(step).tolist(), key=lambda index: (-len(self.rows[index]), index))
        groups: list[list[int]] = []
        padding = 0
        for index in longest_first[rank::world_size]:
            width = len(self.rows[groups[-1][0]]) if groups else 0
            padding += width - len(self.rows[index])
            full = bool(groups) and width * (len(groups[-1]) + 1) > self.settings.micro_batch_tokens
            if not groups or full or padding > PADDING_ALLOWED[device]:
                groups.append([])
                padding = 0
            groups[-1].append(index)
        return groups
