"""What was asked in a held-out row, and what was answered, one turn or several, as a judge is shown it."""

from __future__ import annotations

from collections.abc import Sequence

from sftbench import Message, Responses, Row
from sftbench_plugins.judges.material import without_thoughts

_NAMES = ("reference_turns", "reference")
"""How a row of a single question says that its response is a reference, and not just what somebody answered."""


def open_turns(row: Row) -> tuple[str, ...]:
    """What was asked before each response that was to be written, one after another."""
    places = _open(row)
    begins = (0, *(place + 1 for place in places))
    return tuple(_said(row.messages[begin:place]) for begin, place in zip(begins, places, strict=False))


def reference_turns(row: Row) -> tuple[str, ...]:
    """Reference answers to the open turns; none where the row has no text for any of them."""
    if row.num_open_turns == 1 and not any(map(row.original().get, _NAMES)):
        return ()
    found = tuple(row.messages[place].content for place in _open(row))
    return found if any(text.strip() for text in found) else ()


def _open(row: Row) -> tuple[int, ...]:
    """Where the responses stand that were to be written: the last, or as many of the last as the row says."""
    responses = [at for at, message in enumerate(row.messages) if message.role == "assistant"]
    return tuple(responses[-row.num_open_turns :])


def _said(turns: Sequence[Message]) -> str:
    """What the turns say; with who speaks where there are several."""
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"({turn.role})\n{turn.content}" for turn in turns if turn.content.strip())


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
