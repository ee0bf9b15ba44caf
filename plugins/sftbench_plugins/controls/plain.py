"""Chance, and everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import Allowance, Desk, Needs, Pool, Scores, Selection, param
from sftbench_plugins.chance import permutation, trainable


@dataclass(frozen=True, kw_only=True)
class Random:
    """Rows in an order drawn by chance from the seed, as many as the allowance admits.

    Rows that leave nothing to train on (no response, a prompt longer than the window) are not drawn: every
    method leaves them out, and chance must not lose by them.
    """

    name: ClassVar[str] = "random"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    purpose: str = param("random", "what the rows are drawn for; another purpose is another draw")

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        chosen = allowance.fit(trainable(permutation(len(pool), desk.seed, self.purpose), desk))
        return Selection(ids=tuple(pool.ids[at] for at in chosen))


@dataclass(frozen=True, kw_only=True)
class Everything:
    """Every row, in the order of the pool; cut where an allowance ends."""

    name: ClassVar[str] = "all"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        return Selection(ids=tuple(pool.ids[at] for at in allowance.fit(np.arange(len(pool)))))
