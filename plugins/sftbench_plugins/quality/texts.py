"""What a quality model is shown of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sftbench import Row
from sftbench_plugins.exchanges import Exchange, exchanges

Turns = Literal["first", "last", "all"]
Form = Literal["pair", "labelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One text, or a question and its answer."""

    first: str
    second: str | None = None


def shown(row: Row, form: Form, turns: Turns) -> Shown:
    """A row as a reward model reads it (question, answer), or in one text with a label before each part.

    `labelled` is the text of CaR: instruction and input come apart where the row's source had them apart.
    Several exchanges: the first or last one, or all questions and all answers, joined by newlines.
    """
    question, response = asked(row, turns), answered(row, turns)
    if form == "pair":
        return Shown(first=question, second=response)
    original = row.original()
    instruction, context = original.get("instruction"), original.get("input") or ""
    if (f"{instruction}\n{context}" if context else instruction) != question:
        instruction, context = question, ""
    return Shown(first=f"Instruction: {instruction} Input: {context} Response: {response}")


def asked(row: Row, turns: Turns) -> str:
    """What the user (and the system) said before the answers that count."""
    return "\n".join(each.query for each in _counting(row, turns))


def answered(row: Row, turns: Turns) -> str:
    """What the assistant answered."""
    return "\n".join(each.response for each in _counting(row, turns))


def _counting(row: Row, turns: Turns) -> list[Exchange]:
    found = exchanges(row)
    return {"first": found[:1], "last": found[-1:], "all": found}[turns]
