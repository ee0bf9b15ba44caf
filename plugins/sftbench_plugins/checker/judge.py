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
    reference response, which rewards likeness and not quality.
    """

    name: ClassVar[str] = "checker"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    margin: float = param(0.0, "answers whose F1 is this close are level")

    def needs(self) -> Needs:
        return Needs()

    def judge(self, heldout: Pool, model: Responses, baseline: Responses, desk: Desk) -> Verdicts:
        preference, num_checked = [], 0
        for row, mine, theirs in zip(heldout, model.texts, baseline.texts, strict=True):
            num_checked += "answers" in row.original()
            lead = self.quality(row, mine) - self.quality(row, theirs)
            preference.append(0.5 if abs(lead) <= self.margin else float(lead > 0))
        report: dict[str, Json] = {"num_checked": num_checked, "num_by_likeness": len(preference) - num_checked}
        return Verdicts(ids=model.ids, preference=np.array(preference, dtype=np.float64), report=report)

    def quality(self, row: Row, answer: str) -> float:
        """How good an answer is, 0 to 1."""
        if "answers" in row.original():
            return float(is_correct(answer, accepted_answers(row)))
        return token_f1(answer, row.response)
