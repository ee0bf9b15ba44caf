"""The selector `selectit`: the highest scores, with the order of equal ones that the authors' code has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from sftbench import Allowance, Desk, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.allowances import is_short


@dataclass(frozen=True, kw_only=True)
class HighestScores:
    """The rows with the highest scores; of equal ones the earlier (`paper`) or the later (`official`) comes first."""

    name: ClassVar[str] = "selectit"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "'official': of rows with equal scores the later comes first")

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        if scores is None:
            raise UsageError("selector 'selectit' ranks by scores; a method that uses it names a scorer")
        values = scores.values
        eligible = np.flatnonzero(np.isfinite(values))
        if self.mode == "official":
            eligible = eligible[::-1]
        ranked = eligible[np.argsort(-values[eligible], kind="stable")]
        chosen = allowance.fit(ranked)
        last = float(values[chosen[-1]]) if len(chosen) else None
        return Selection(
            ids=tuple(pool.ids[at] for at in chosen),
            scores=values[chosen],
            status="short" if is_short(allowance, chosen, len(ranked)) else "full",
            report={
                "num_eligible": len(eligible),
                "num_without_score": len(values) - len(eligible),
                "reasons": dict(Counter(scores.reasons.values())),
                "last_score": last,
                "num_ties_left_out": int((values[ranked[len(chosen) :]] == last).sum()) if len(chosen) else 0,
            },
        )
