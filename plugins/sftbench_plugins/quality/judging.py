"""How good the answers of a tuned model are: by the quality model, or by likeness to the rows' own responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Message, Pool, Row
from sftbench_plugins.quality.scorer import standardised
from sftbench_plugins.quality.settings import QualitySettings

if TYPE_CHECKING:
    from sftbench import Continuation

Floats = npt.NDArray[np.float64]
Judge: TypeAlias = "Callable[[Sequence[Row], Sequence[str]], tuple[Floats, dict[int, str]]]"
"""From rows and what was answered to them to numbers [n], and remarks by position."""
BY_LIKENESS = "quality of answers by their likeness to the rows' own responses"
_ROWS_AT_ONCE = 256
_END_LETTERS = 4
"""What the authors' code cuts off each answer for an end token written out, whether it is there or not."""


@dataclass(frozen=True, kw_only=True)
class Answering:
    """Asks the model `seeded` for answers and has them judged. `official` keeps what the authors' code does to texts.

    That is: the question ends in a newline where the row has no input, and an answer that the limit of
    tokens cut off loses four more letters.
    """

    settings: QualitySettings
    max_new_tokens: int
    official: bool
    remarks: Counter[str] = field(default_factory=Counter)

    def judged(self, pool: Pool, rows: npt.NDArray[np.int64], desk: Desk) -> tuple[Floats, dict[str, Json]]:
        """Qualities [m] of the answers to these rows, NaN where there is none, and a report."""
        from sftbench import answer_rows

        found: list[Floats] = [np.empty(0)]
        model, judge = desk.language_model("seeded"), self._judge(desk)
        room = max(1, min(self.max_new_tokens, model.max_length // 2))
        with desk.progress(len(rows), "answer") as progress:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                asked = [until(row, self.settings.turns) for row in pool.take(rows[start : start + _ROWS_AT_ONCE])]
                answers = answer_rows(model, asked, max_new_tokens=room, advance=progress.advance)
                values, remarks = judge(asked, [self._text(each) for each in answers])
                self.remarks.update(["cut_off"] * sum(not each.ended for each in answers))
                self.remarks.update(remarks.values())
                found.append(values)
        qualities = np.concatenate(found)
        report: dict[str, Json] = {"num_answers": len(rows), "answers": dict(sorted(self.remarks.items()))}
        if self.settings.has_model:
            return qualities, {**report, "answers_judged_by": "model"}
        qualities, spread = standardised(qualities)
        return qualities, {**report, "answers_judged_by": f"stand-in: {BY_LIKENESS}", **spread}

    def _text(self, answer: Continuation) -> str:
        return answer.text[:-_END_LETTERS] if self.official and not answer.ended else answer.text

    def _judge(self, desk: Desk) -> Judge:
        if not self.settings.has_model:
            desk.stand_in(BY_LIKENESS)
            return lambda rows, texts: likeness(desk, rows, texts)
        return self._by_model(desk)

    def _by_model(self, desk: Desk) -> Judge:
        from sftbench_plugins.quality.classifier import QualityModel
        from sftbench_plugins.quality.texts import shown

        settings = self.settings
        model = QualityModel(desk.model_path("quality").path, label=settings.label, meter=desk.meter)

        def judge(rows: Sequence[Row], texts: Sequence[str]) -> tuple[Floats, dict[int, str]]:
            given = [
                shown(_answering(row, text), settings.form, settings.turns)
                for row, text in zip(rows, texts, strict=True)
            ]
            if self.official and settings.form == "pair":
                given = [
                    each if row.original().get("input") else replace(each, first=f"{each.first}\n")
                    for row, each in zip(rows, given, strict=True)
                ]
            values, remarks = model.of(given, truncate=settings.overlong == "truncate")
            broken = dict.fromkeys(np.flatnonzero(~np.isfinite(values)).tolist(), "non_finite")
            return np.where(np.isfinite(values), values, np.nan), broken | _empty(texts) | remarks

        return judge


def likeness(desk: Desk, rows: Sequence[Row], texts: Sequence[str]) -> tuple[Floats, dict[int, str]]:
    """Cosine [n] of the embeddings of an answer and of the row's own response; 0 for an answer that says nothing."""
    own = desk.embed([row.response for row in rows])
    values = np.einsum("nd,nd->n", desk.embed(texts), own).astype(np.float64)
    empty = _empty(texts)
    values[list(empty)] = 0.0
    return values, dict.fromkeys(np.flatnonzero(~np.isfinite(values)).tolist(), "non_finite") | empty


def until(row: Row, turns: str) -> Row:
    """The row up to the answer that is asked for: the first one, or the last."""
    if turns != "first":
        return row
    roles = [message.role for message in row.messages]
    return replace(row, messages=row.messages[: roles.index("assistant") + 1])


def _empty(texts: Sequence[str]) -> dict[int, str]:
    return {at: "empty" for at, text in enumerate(texts) if not text.strip()}


def _answering(row: Row, text: str) -> Row:
    """The row with another answer at its end."""
    return replace(row, messages=(*row.messages[:-1], Message(role="assistant", content=text)))
