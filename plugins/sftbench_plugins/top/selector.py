"""Taking the best of a ranking."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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
        above_cut = np.zeros(len(values), dtype=np.bool_) if self.cut is None else values >= self.cut
        eligible = np.flatnonzero(~np.isnan(values) & ~above_cut)
        ranked = eligible[np.argsort(-values[eligible], kind="stable")]
        chosen = allowance.fit(ranked)
        taken = set(chosen.tolist())
        last = values[chosen[-1]] if len(chosen) else np.nan
        report: dict[str, Json] = {
            "num_eligible": len(eligible),
            "num_above_cut": int(above_cut.sum()),
            "num_ties_left_out": int(sum(values[at] == last and at not in taken for at in ranked.tolist())),
            "reasons": dict(Counter(scores.reasons.values())),
        }
        return Selection(
            ids=tuple(pool.ids[at] for at in chosen),
            scores=values[chosen],
            status="short" if self._is_short(allowance, chosen, ranked) else "full",
            report=report,
        )

    @staticmethod
    def _is_short(allowance: Allowance, chosen: np.ndarray[tuple[int], np.dtype[np.int64]], ranked: object) -> bool:
        """Every eligible row was taken and there was room for more."""
        assert isinstance(ranked, np.ndarray)
        room = allowance.cap - float(allowance.row_costs[chosen].sum())
        return len(chosen) == len(ranked) < len(allowance.row_costs) and room >= float(allowance.row_costs.min())
