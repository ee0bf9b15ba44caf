"""Counting words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import Desk, Needs, Pool, Scores, param


@dataclass(frozen=True, kw_only=True)
class DifferentWords:
    """How many different words a response has. An empty response has no score."""

    name: ClassVar[str] = "stranger-words"
    version: ClassVar[str] = "3"
    deterministic: ClassVar[bool] = True

    shortest: int = param(1, "shorter words do not count, in characters")

    def needs(self) -> Needs:
        return Needs()

    def score(self, pool: Pool, desk: Desk) -> Scores:
        counts = [len({word for word in row.response.split() if len(word) >= self.shortest}) for row in pool]
        values = np.array([count or np.nan for count in counts], dtype=np.float64)
        return Scores(values=values, reasons={at: "no_words" for at, count in enumerate(counts) if not count})
