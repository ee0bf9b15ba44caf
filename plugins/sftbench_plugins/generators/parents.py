"""Real rows as parents of generated ones: question, context, answer, and what was said before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench import Message, Pool, Row, SftbenchError


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A row that can be a parent. `context` is the input that an Alpaca row has beside its instruction."""

    row: Row
    history: tuple[Message, ...]
    question: str
    context: str
    answer: str

    @property
    def asked(self) -> str:
        """The last user turn."""
        return asked(self.question, self.context)

    @property
    def said_before(self) -> str:
        """Earlier turns as text, empty for a row of one turn."""
        return "\n".join(f"{each.role}: {each.content}" for each in self.history if each.role != "system")


def asked(question: str, context: str) -> str:
    """Question and context as one user turn, as Alpaca rows are read."""
    return f"{question}\n{context}" if context else question


def parent_of(row: Row, turns: Literal["last", "skip"] = "last") -> Parent | str:
    """The parent, or why the row is none: `empty_instruction`, `empty_response`, `multi_turn`."""
    *before, last = row.messages or (Message(role="assistant", content=""),)
    if not before or before[-1].role != "user" or not before[-1].content.strip():
        return "empty_instruction"
    if not last.content.strip():
        return "empty_response"
    history = tuple(before[:-1])
    if turns == "skip" and any(each.role != "system" for each in history):
        return "multi_turn"
    question, context = before[-1].content, ""
    original = row.original()
    parts = original.get("instruction"), original.get("input")
    if all(isinstance(part, str) for part in parts) and parts[1] and asked(*parts) == question:  # type: ignore[arg-type]
        question, context = parts  # type: ignore[assignment]
    return Parent(row=row, history=history, question=question, context=context, answer=last.content)


@dataclass(kw_only=True)
class Parents:
    """The usable rows of a pool in an order drawn by chance: number k, counted round and round."""

    pool: Pool
    order: npt.NDArray[np.int64]
    """Positions in the pool."""
    turns: Literal["last", "skip"] = "last"
    reasons: Counter[str] = field(default_factory=Counter)
    """Why rows are no parents."""

    @classmethod
    def of(cls, pool: Pool, order: npt.NDArray[np.int64], turns: Literal["last", "skip"]) -> Parents:
        """Of the rows at the positions `order`. Raises `SftbenchError` when none can be a parent."""
        reasons: Counter[str] = Counter()
        usable, position = np.zeros(len(pool), dtype=np.bool_), 0
        wanted = np.zeros(len(pool), dtype=np.bool_)
        wanted[order] = True
        for batch in pool.batches():
            for row in batch:
                found = parent_of(row, turns) if wanted[position] else ""
                usable[position] = isinstance(found, Parent)
                if isinstance(found, str) and found:
                    reasons[found] += 1
                position += 1
        if not usable.any():
            raise SftbenchError(f"no row of the pool can be a parent of generated rows: {dict(reasons)}")
        return cls(pool=pool, order=order[usable[order]], turns=turns, reasons=reasons)

    def __len__(self) -> int:
        return len(self.order)

    def take(self, numbers: Sequence[int]) -> list[Parent]:
        """The parents with these numbers."""
        return self.at(self.order[np.asarray(numbers, dtype=np.int64) % len(self.order)])

    def at(self, positions: npt.NDArray[np.int64]) -> list[Parent]:
        """The parents at these positions of the pool, which must be usable."""
        found = [parent_of(row, self.turns) for row in self.pool.take(positions)]
        return [each for each in found if isinstance(each, Parent)]
