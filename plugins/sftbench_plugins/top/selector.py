"""Taking the best of a ranking."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, UsageError, param


@dataclass(frozen=True, kw_only=True)
class Top:
    """The rows with the highest scores; equal scores keep the order of the pool, a row without a score is never taken.

    With `cut`, rows scoring that much or more are left out (IFD drops rows at 1 and above). The report tells how many
    rows share the last score taken without being taken themselves.
    """

    name: ClassVar[str] = "top"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    cut: float | None = param(None, "rows scoring this much or more are left out; none leaves out none")

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        if scores is None:
            raise UsageError("selector 'top' ranks by scores; a method that uses it names a scorer")
        values = scores.values
        scored = np.isfinite(values)
        above = scored & (values >= self.cut) if self.cut is not None else np.zeros_like(scored)
        eligible = np.flatnonzero(scored & ~above)
        ranked = eligible[np.argsort(-values[eligible], kind="stable")]
        chosen = allowance.fit(ranked)
        last = float(values[chosen[-1]]) if len(chosen) else None
        report: dict[str, Json] = {
            "num_eligible": len(eligible),
            "num_above_cut": int(above.sum()),
            "num_without_score": int((~scored).sum()),
            "reasons": dict(Counter(scores.reasons.values())),
            "last_score": last,
            "num_ties_left_out": int((values[ranked[len(chosen) :]] == last).sum()) if len(chosen) else 0,
        }
        return Selection(
            ids=tuple(pool.ids[at] for at in chosen),
            scores=values[chosen],
            status="short" if _is_short(allowance, chosen, len(ranked)) else "full",
            report=report,
        )


def _is_short(allowance: Allowance, chosen: npt.NDArray[np.int64], num_eligible: int) -> bool:
    """Every eligible row was taken, and what is left would have paid for one that is not eligible."""
    costs = allowance.row_costs
    room = allowance.cap - float(costs[chosen].sum())
    return len(chosen) == num_eligible < len(costs) and room >= float(costs[costs > 0].min(initial=np.inf))
