"""A conversation as exchanges: what was asked and what was answered, turn after turn."""

from __future__ import annotations

from dataclasses import dataclass

from sftbench import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One answer of the assistant, and everything said since the one before, joined by newlines."""

    query: str
    response: str


def exchanges(row: Row) -> list[Exchange]:
    """The exchanges of a row in order; what nobody answered is left out."""
    found: list[Exchange] = []
    asked: list[str] = []
    for message in row.messages:
        if message.role == "assistant":
            found.append(Exchange(query="\n".join(asked), response=message.content))
            asked = []
        else:
            asked.append(message.content)
    return found
