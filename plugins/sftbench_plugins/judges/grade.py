"""The evaluator `grade`: a language model grades one answer at a time from 1 to 10, as in MT-Bench."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Evaluation, Json, Needs, Pool, Responses, Row, UsageError, param
from sftbench_plugins.judges.asked import ROLE, check_bounds, check_model, needs_of, template_file

if TYPE_CHECKING:
    from sftbench_plugins.judges.grading import Turn
    from sftbench_plugins.judges.hearing import Hearing

Floats = npt.NDArray[np.float64]
METRICS = ("grade", "grade-turn-1", "grade-turn-2")
NUM_TURNS = 2
MANY_UNREAD = 0.01
WITH_REFERENCES = ("math", "maths", "reasoning", "coding")
"""Categories that MT-Bench grades beside a reference answer."""


@dataclass(frozen=True, kw_only=True)
class Grade:
    """The grade of a single answer, 1 to 10, for up to two turns (MT-Bench, arXiv 2306.05685, section 3.1).

    Reference answers are shown where the row has them: to its open turns, or as its `reference`. `grade` is the mean of
    an item's turns that were graded. A second turn is shown with the whole dialogue, and has no grade where the answer
    to the first lacks.
    """

    name: ClassVar[str] = "grade"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = METRICS

    model: str | None = param(None, "who grades: URL#MODEL or vllm:MODEL; none: the model of --chat")
    template: str = param("default", "what the judge is told: a JSON file; default is the packaged one")
    max_answer_tokens: int = param(2048, "tokens that the judge may write about an answer")
    temperature: float = param(0.0, "of the judge")
    retry_temperature: float = param(0.3, "of the one more try after a reply without a grade")
    max_shown: int | None = param(
        None, "characters of an answer that the judge is shown, the middle is cut out; none: as its context allows"
    )
    max_seconds: float | None = param(
        None, "wall-clock seconds for all answers, once the model is served; the rest has no grade"
    )
    max_tokens: int | None = param(None, "tokens read and written for all answers; what is left over has no grade")
    system_role: bool = param(True, "false: say all in the user's turn, for models without a system role")
    seed: int = param(0, "of the requests: with another one the judge is asked anew")

    def __post_init__(self) -> None:
        check_model(self.model)
        check_bounds(
            max_answer_tokens=self.max_answer_tokens, max_shown=self.max_shown, max_seconds=self.max_seconds,
            max_tokens=self.max_tokens,
        )  # fmt: skip
        for name in ("temperature", "retry_temperature"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")

    def needs(self) -> Needs:
        return needs_of(self.model, self.template, "grade")

    def evaluate(self, heldout: Pool, responses: Responses | None, desk: Desk) -> Evaluation:
        """Grades per row and turn. Report: calls, what failed, means by `category` where rows have one."""
        if responses is None:
            raise UsageError("evaluator 'grade' needs the model's responses")
        rows = list(heldout)
        turns, hearing, told = self._hearing(rows, responses, desk)
        grades = np.full((len(rows), NUM_TURNS), np.nan)
        flags: Counter[str] = Counter()
        if hearing is not None and turns:
            with desk.progress(len(turns), "grade") as progress:
                for turn, heard in zip(turns, hearing.hear(turns, progress), strict=True):
                    flags.update(list(heard.flags))
                    if heard.answers and heard.answers[0] is not None:
                        grades[turn.row, turn.number - 1] = heard.answers[0].value
            told |= hearing.counts()
        items = {"grade": _means(grades), **{f"grade-turn-{at + 1}": grades[:, at] for at in range(NUM_TURNS)}}
        report: dict[str, Json] = {
            **told, "num_to_grade": len(turns), "num_graded": int(np.isfinite(grades).sum()),
            "num_unparsable": flags["unparsable"], "flags": dict(sorted(flags.items())),
            "by_category": _by_category(rows, items["grade"]), **_without_references(rows, desk),
        }  # fmt: skip
        if turns and flags["unparsable"] > MANY_UNREAD * len(turns):
            desk.log(f"{flags['unparsable']} of {len(turns)} grades could not be read")
        if flags["over_budget"]:
            desk.log(f"{flags['over_budget']} answers have no grade because max_seconds or max_tokens was spent")
        bigger = dict.fromkeys(items, True)
        return Evaluation(ids=tuple(heldout.ids), items=items, bigger_is_better=bigger, report=report)

    def _hearing(
        self, rows: Sequence[Row], responses: Responses, desk: Desk
    ) -> tuple[list[Turn], Hearing[float] | None, dict[str, Json]]:
        """What is to be graded, who is asked (None where no model is named), and what a report says of that."""
        from sftbench_plugins.judges.grading import SLOTS, TASKS, Asking, grade_in, turns_of
        from sftbench_plugins.judges.hearing import Hearing, Manner
        from sftbench_plugins.judges.purse import Purse
        from sftbench_plugins.judges.template import Template

        template = Template.of(template_file(desk), slots=SLOTS, tasks=TASKS)
        asking = Asking(
            template=template, max_new_tokens=self.max_answer_tokens, temperature=self.temperature, seed=self.seed,
            system_role=self.system_role,
        )  # fmt: skip
        turns = turns_of(rows, responses, asking)
        chat = desk.chat_with(ROLE) if self.model else desk.chat(stand_in="no grades")
        if chat is None:
            return turns, None, {}
        hearing = Hearing(
            chat=chat,
            parse=grade_in,
            manner=Manner(retry_temperature=self.retry_temperature, seed=self.seed),
            purse=Purse.of(chat, max_seconds=self.max_seconds, max_tokens=self.max_tokens),
            max_shown=self.max_shown,
        )
        return turns, hearing, {"judge": chat.model, "template": template.told()}


def _means(grades: Floats) -> Floats:
    """Over the turns of an item that have a grade."""
    known = np.isfinite(grades)
    counts = known.sum(axis=1)
    sums = np.where(known, grades, 0.0).sum(axis=1)
    means: Floats = np.divide(sums, counts, out=np.full(len(grades), np.nan), where=counts > 0)
    return means


def _without_references(rows: Sequence[Row], desk: Desk) -> dict[str, Json]:
    """How many items lack the reference that MT-Bench grades their category with; the log hears of it, too."""
    from sftbench_plugins.judges.questions import reference_turns

    wanting = [row for row in rows if row.original().get("category") in WITH_REFERENCES]
    num_without = sum(not reference_turns(row) for row in wanting)
    if num_without:
        desk.log(f"{num_without} of {len(wanting)} items of maths, reasoning and coding have no reference")
    return {"num_without_reference": num_without} if wanting else {}


def _by_category(rows: Sequence[Row], grades: Floats) -> dict[str, Json]:
    """Mean grade by the rows' `category`."""
    found: dict[str, list[float]] = {}
    for row, grade in zip(rows, grades, strict=True):
        category = row.original().get("category")
        if category is not None and np.isfinite(grade):
            found.setdefault(str(category), []).append(float(grade))
    return {name: float(np.mean(values)) for name, values in sorted(found.items())}
