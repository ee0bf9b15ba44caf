"""A judge that compares two answers with what is known to be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import Desk, Json, Needs, Pool, Responses, Row, Verdicts, param
from sftbench_plugins.answers import accepted_answers, is_correct, token_f1


@dataclass(frozen=True, kw_only=True)
class Checker:
    """Prefers the better answer: 1 for the model, 0 for the baseline, 0.5 when they are level.

    An item with `answers` is decided by right and wrong; one without by the F1 of its words with the
    reference response, which rewards likeness and not quality. One with neither is NaN.
    """

    name: ClassVar[str] = "checker"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    margin: float = param(0.0, "answers whose F1 is this close are level")

    def __post_init__(self) -> None:
        if self.margin < 0:
            raise ValueError(f"margin={self.margin}: a difference is 0 or more")

    def needs(self) -> Needs:
        return Needs()

    def judge(self, heldout: Pool, model: Responses, baseline: Responses, desk: Desk) -> Verdicts:
        mine, theirs = (dict(zip(each.ids, each.texts, strict=True)) for each in (model, baseline))
        leads = [self.quality(row, mine[row.id]) - self.quality(row, theirs[row.id]) for row in heldout]
        num_checked = sum(_has_answers(row) for row in heldout)
        report: dict[str, Json] = {"num_checked": num_checked, "num_by_likeness": len(heldout) - num_checked}
        preference = np.array([self._preference(lead) for lead in leads], dtype=np.float64)
        return Verdicts(ids=tuple(heldout.ids), preference=preference, report=report)

    def quality(self, row: Row, answer: str) -> float:
        """How good an answer is, 0 to 1; NaN for a row with neither `answers` nor a reference response."""
        accepted = accepted_answers(row)
        if not accepted:
            return float("nan")
        return float(is_correct(answer, accepted)) if _has_answers(row) else token_f1(answer, row.response)

    def _preference(self, lead: float) -> float:
        return 0.5 if abs(lead) <= self.margin else lead if np.isnan(lead) else float(lead > 0)


def _has_answers(row: Row) -> bool:
    # A table fills the column of rows that have none with null.
    return row.original().get("answers") is not None
