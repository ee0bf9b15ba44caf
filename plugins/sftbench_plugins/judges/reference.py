"""The judge `reference`: the answer that lies closer to the reference answer wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Responses, Verdicts, param
from sftbench_plugins.judges.questions import answers_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Prefers the answer whose embedding has the larger cosine with that of the row's reference response.

    It measures likeness, not quality, and needs no language model. An empty answer is farther than any other; a row
    without a reference has no verdict.
    """

    name: ClassVar[str] = "reference"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    margin: float = param(0.0, "answers whose cosines are this close are level")

    def __post_init__(self) -> None:
        if self.margin < 0:
            raise ValueError(f"margin={self.margin}: a difference is 0 or more")

    def needs(self) -> Needs:
        return Needs(embedder=True)

    def judge(self, heldout: Pool, model: Responses, baseline: Responses, desk: Desk) -> Verdicts:
        """1 for the model, 0 for the baseline, 0.5 when they are level; NaN without a reference or an answer."""
        from sftbench import answer_columns

        references = [row.response for row in heldout]
        answers = [answers_of(each) for each in (model, baseline)]
        mine, theirs = ([found.get(row_id, ("",))[-1] for row_id in heldout.ids] for found in answers)
        missing = [any(row_id not in found for found in answers) for row_id in heldout.ids]
        near = _closeness([mine, theirs], references, desk)
        known = np.array([bool(text.strip()) for text in references]) & ~np.array(missing, dtype=np.bool_)
        lead = near[0] - near[1]
        preference = np.where(np.abs(lead) <= self.margin, 0.5, (lead > 0).astype(np.float64))
        flags: list[Json] = [_flags(*each) for each in zip(mine, theirs, references, missing, strict=True)]
        report: dict[str, Json] = {
            "num_pairs": len(references),
            "num_judged": int(known.sum()),
            "mean_closeness_model": _mean(near[0], known),
            "mean_closeness_baseline": _mean(near[1], known),
        }
        return Verdicts(
            ids=tuple(heldout.ids),
            preference=np.where(known, preference, np.nan),
            columns={**answer_columns(mine, theirs), "flags": flags},
            report=report,
        )


def _closeness(answers: list[list[str]], references: list[str], desk: Desk) -> list[Floats]:
    """Cosines [n] of each list of answers with the references; -1 where an answer or a reference is empty."""
    texts = [text for text in dict.fromkeys([*answers[0], *answers[1], *references]) if text.strip()]
    place = {text: at for at, text in enumerate(texts)}
    vectors = desk.embed(texts).astype(np.float64) if texts else np.empty((0, 1))

    def cosine(text: str, reference: str) -> float:
        if text not in place or reference not in place:
            return -1.0
        return 1.0 if text == reference else float(vectors[place[text]] @ vectors[place[reference]])

    return [np.array([cosine(*each) for each in zip(texts, references, strict=True)]) for texts in answers]


def _mean(values: Floats, known: npt.NDArray[np.bool_]) -> float | None:
    return float(values[known].mean()) if known.any() else None


def _flags(mine: str, theirs: str, reference: str, is_missing: bool) -> list[Json]:
    found: list[Json] = ["missing_answer"] if is_missing else []
    if not reference.strip():
        found.append("no_reference")
    if not is_missing and not (mine.strip() and theirs.strip()):
        found.append("empty_response")
    return found
