"""What is shown for a grade, and what the reply says: the steps of the evaluator `grade`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sftbench import ChatRequest, Responses, Row
from sftbench_plugins.judges.hearing import turns
from sftbench_plugins.judges.material import (
    DOUBLE_GRADE,
    SINGLE_GRADE,
    Exhibit,
    cut_middle,
    shown,
    without_own_thoughts,
)
from sftbench_plugins.judges.questions import answers_of, open_turns, reference_turns
from sftbench_plugins.judges.template import Template

SLOTS = ("material", "task")
TASKS = ("single", "reference", "dialogue", "dialogue_reference")


def grade_in(reply: str) -> float:
    """The last number in double square brackets, else one in single brackets that ends the reply; 1 to 10.

    Raises `ValueError` for a reply without one.
    """
    text = without_own_thoughts(reply).strip()
    found = DOUBLE_GRADE.findall(text)
    last = SINGLE_GRADE.fullmatch(text.splitlines()[-1]) if text else None
    if not found and last is None:
        raise ValueError("no grade in square brackets")
    value = float(found[-1] if found else last[1])  # type: ignore[index]
    if not 1 <= value <= 10:
        raise ValueError(f"the grade {value:g} is not from 1 to 10")
    return value


@dataclass(frozen=True, kw_only=True)
class Asking:
    """In which words a grade is asked for."""

    template: Template
    max_new_tokens: int
    temperature: float
    seed: int
    system_role: bool

    def request(self, exhibits: Sequence[Exhibit], task: str) -> ChatRequest:
        """One grade."""
        user = self.template.user({"material": "\n\n".join(shown(exhibits)), "task": self.template.task(task)})
        return ChatRequest(
            messages=turns(self.template.system, user, system_role=self.system_role),
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Turn:
    """An answer to be graded, with what went before; a matter of a hearing.

    `questions` and `answers` are those of the dialogue until this turn; `references` to them, none if there are none.
    """

    row: int
    number: int
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    references: tuple[str, ...]
    asking: Asking

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(map(len, self.answers))

    def requests(self, limit: int | None) -> tuple[ChatRequest, ...]:
        """A single question: what was asked, the reference, the answer. A later turn: the same for all turns."""
        is_dialogue = len(self.questions) > 1
        exhibits = []
        for at, question in enumerate(self.questions):
            suffix = f"-{at + 1}" if is_dialogue else ""
            exhibits.append(Exhibit(name=f"question{suffix}", text=question))
            if at < len(self.references) and self.references[at].strip():
                exhibits.append(Exhibit(name=f"reference{suffix}", text=self.references[at]))
            exhibits.append(Exhibit(name=f"answer{suffix}", text=cut_middle(self.answers[at], limit)))
        has_reference = len(exhibits) > 2 * len(self.questions)
        tasks = {
            (False, False): "single", (False, True): "reference",
            (True, False): "dialogue", (True, True): "dialogue_reference",
        }  # fmt: skip
        return (self.asking.request(exhibits, tasks[is_dialogue, has_reference]),)


def turns_of(rows: Sequence[Row], responses: Responses, asking: Asking) -> list[Turn]:
    """What is to be graded: each turn that was answered, a later one only where all before it were.

    Where any row has earlier answers, those that lack them lack the answers to the turns before the last. Where none
    has, the rows were asked their first question alone.
    """
    answers = answers_of(responses)
    found: list[Turn] = []
    for at, row in enumerate(rows):
        given = answers.get(row.id, ())
        questions, references = open_turns(row), reference_turns(row)
        if responses.earlier and len(given) < len(questions):
            continue
        for number in range(1, min(len(questions), len(given)) + 1):
            if not questions[number - 1].strip() or not all(each.strip() for each in given[: number - 1]):
                break
            found.append(
                Turn(
                    row=at,
                    number=number,
                    questions=questions[:number],
                    answers=given[:number],
                    references=references[:number],
                    asking=asking,
                )
            )
    return found
