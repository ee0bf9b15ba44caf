"""What was asked in a held-out row, and what was answered, one turn or several, as a judge is shown it."""

from __future__ import annotations

from sftbench import Responses, Row
from sftbench_plugins.judges.material import without_thoughts


def open_turns(row: Row) -> tuple[str, ...]:
    """The user turns that were to be answered one after another: those of the row's `turns`, if it has several."""
    turns = row.original().get("turns")
    if isinstance(turns, list) and len(turns) > 1 and all(isinstance(turn, str) for turn in turns):
        return tuple(turns)
    return (question_of(row),)


def question_of(row: Row) -> str:
    """The turns before the answer; with who speaks where there are several."""
    turns = row.messages[:-1]
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"({turn.role})\n{turn.content}" for turn in turns if turn.content.strip())


def reference_turns(row: Row) -> tuple[str, ...]:
    """Reference answers to the open turns, where the row has them."""
    found = row.original().get("reference_turns")
    return tuple(str(each or "") for each in found) if isinstance(found, list) else ()


def answers_of(responses: Responses) -> dict[str, tuple[str, ...]]:
    """By id, the answers to all open turns, without the reasoning before them."""
    return {
        row_id: tuple(without_thoughts(each) for each in (*responses.earlier.get(row_id, ()), text))
        for row_id, text in zip(responses.ids, responses.texts, strict=True)
    }


def as_one(texts: tuple[str, ...]) -> str:
    """Several turns as one text; a single one as it is."""
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"(turn {number})\n{text}" for number, text in enumerate(texts, 1))
