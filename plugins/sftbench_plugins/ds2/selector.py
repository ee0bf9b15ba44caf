"""The selector `ds2`: the highest classes whole, and of the one that does not fit the rows of the longest tail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.allowances import is_short

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ClassThenTail:
    """Classes from 5 down; within a class by falling long-tail score (DS2, arXiv 2410.10877, sec. 4.3).

    Reads the columns `rating` and `long_tail` of the scorer `ds2`. The rows chosen are the same in both
    modes but for ties; `official` keeps a class that fits whole in the order of the pool.
    """

    name: ClassVar[str] = "ds2"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "'official': the order of the authors' code, ties included")

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows that have a class; a row without a long-tail score comes last in its class."""
        if scores is None or not {"rating", "long_tail"} <= set(scores.columns):
            raise UsageError("the selector 'ds2' reads the columns of the scorer 'ds2': use both together")
        classes = np.where(np.isfinite(scores.values), np.asarray(scores.columns["rating"], dtype=np.float64), np.nan)
        tail = np.nan_to_num(np.asarray(scores.columns["long_tail"], dtype=np.float64), nan=-1.0)
        rank = in_class_order if self.mode == "paper" else in_official_order
        ranked = rank(classes, tail, allowance)
        chosen = allowance.fit(ranked)
        return Selection(
            ids=tuple(pool.ids[at] for at in chosen),
            scores=scores.values[chosen],
            status="short" if is_short(allowance, chosen, len(ranked)) else "full",
            report=_report(classes, tail, ranked, chosen, scores),
        )


def in_class_order(classes: Floats, tail: Floats, allowance: Allowance) -> npt.NDArray[np.int64]:
    """Positions by falling class, then falling tail, then as they stand in the pool; none without a class."""
    rated = np.flatnonzero(np.isfinite(classes))
    return rated[np.lexsort((rated, -tail[rated], -classes[rated]))]


def in_official_order(classes: Floats, tail: Floats, allowance: Allowance) -> npt.NDArray[np.int64]:
    """A class that fits with room to spare as it stands in the pool; the first other one by tail, and then no more.

    Equal tails come as numpy's default sort leaves them, reversed (UCSC-REAL/DS2 @ 8b2db16, `extract_data`).
    """
    ranked: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    room = allowance.cap
    for each in np.unique(classes[np.isfinite(classes)])[::-1]:
        members = np.flatnonzero(classes == each)
        room -= float(allowance.row_costs[members].sum())
        if room > 0:
            ranked.append(members)
            continue
        ranked.append(members[np.argsort(tail[members])[::-1]])
        break
    return np.concatenate(ranked)


def _report(
    classes: Floats, tail: Floats, ranked: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64], scores: Scores
) -> dict[str, Json]:
    last = chosen[-1] if len(chosen) else None
    left = ranked[len(chosen) :]
    tied = 0 if last is None else int(((classes[left] == classes[last]) & (tail[left] == tail[last])).sum())
    taken = Counter(int(each) for each in classes[chosen])
    return {
        "num_eligible": int(np.isfinite(classes).sum()),
        "num_without_rating": int((~np.isfinite(classes)).sum()),
        "reasons": dict(Counter(scores.reasons.values())),
        "classes": {str(each): number for each, number in sorted(taken.items(), reverse=True)},
        "last_class": None if last is None else int(classes[last]),
        "last_long_tail": None if last is None else float(tail[last]),
        "num_ties_left_out": tied,
    }
