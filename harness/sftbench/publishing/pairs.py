"""The judged pairs of a bundle whose answers it holds: all turns of both, and what the judge said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sftbench.board.cells import Cell, CellVerdicts
from sftbench.errors import VerificationError
from sftbench.judging.card.readings import readings_in
from sftbench.publishing.agreement import Reading
from sftbench.publishing.layout import RESPONSES

Turns = tuple[str, ...]
Texts = Mapping[str, Turns]
"""Answers by item, a text per turn."""


@dataclass(frozen=True, kw_only=True)
class PublishedPair:
    """One judgement: two answers to a held-out row, with all their turns, and the preference that was published.

    `orders` are the winners of the two games, NaN where they are not told.
    """

    where: str
    item: str
    answer: Turns
    other: Turns
    told: float
    orders: Reading = (float("nan"), float("nan"))


@dataclass(frozen=True, kw_only=True)
class PublishedPairs:
    """Pairs with both texts, of the `num_told` that a judge has a verdict on."""

    pairs: tuple[PublishedPair, ...]
    num_told: int


def pairs_of(bundle: Path, cells: Sequence[Cell], *, judge: str, given: Mapping[str, Texts]) -> PublishedPairs:
    """Every judgement of a judge; `given` are answers that no model of the run gave, by the key of their step."""
    answers = _Answers(bundle=bundle, known=dict(given))
    found: list[PublishedPair] = []
    num_told = 0
    for cell, told in _judgements(cells, judge):
        num_told += sum(value is not None for value in told.preference)
        both = _steps(cell, told, cells, given)
        if both is not None:
            found += _pairs(f"{cell.label}@{cell.budget}/{cell.seed}", told, *map(answers.of, both))
    return PublishedPairs(pairs=tuple(found), num_told=num_told)


def _judgements(cells: Sequence[Cell], judge: str) -> Iterator[tuple[Cell, CellVerdicts]]:
    for cell in cells:
        yield from ((cell, each) for each in cell.judgements if each.judge == judge)


def _pairs(where: str, told: CellVerdicts, mine: Texts, other: Texts) -> Iterator[PublishedPair]:
    readings = readings_in(told.ids, told.preference, told.columns)
    orders = zip(*readings.in_both_orders, strict=True)
    for item, preference, both in zip(told.ids, told.preference, orders, strict=True):
        if preference is not None and item in mine and item in other:
            yield PublishedPair(
                where=where, item=item, answer=mine[item], other=other[item], told=preference,
                orders=(float(both[0]), float(both[1])),
            )  # fmt: skip


def _steps(cell: Cell, told: CellVerdicts, cells: Sequence[Cell], given: Mapping[str, Texts]) -> tuple[str, str] | None:
    """The steps of a cell's own answers and of those that they were judged against; None where that cannot be told."""
    mine = _responses_of(cell)
    theirs = [key for key in mine if key in given]
    if not theirs:
        at_budget = [each for each in cells if each.label == told.baseline and each.budget == cell.budget]
        baseline = next((each for each in at_budget if each.seed == cell.seed), at_budget[0] if at_budget else None)
        theirs = _responses_of(baseline) if baseline is not None else []
    own = [key for key in mine if key not in theirs]
    return (own[0], theirs[0]) if len(own) == len(theirs) == 1 else None


def _responses_of(cell: Cell) -> list[str]:
    return [step.key for step in cell.steps if step.room == "responses"]


@dataclass
class _Answers:
    """The answers of a bundle, each file read once."""

    bundle: Path
    known: dict[str, Texts]

    def of(self, key: str) -> Texts:
        if key not in self.known:
            name = f"{RESPONSES}/{key.split('/')[-1]}.jsonl"
            path = self.bundle / name
            lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
            try:
                self.known[key] = dict(_turns(line) for line in lines if line)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise VerificationError(f"{name} holds something else than answers") from None
        return self.known[key]


def _turns(line: str) -> tuple[str, Turns]:
    told = json.loads(line)
    turns = (*told.get("earlier", ()), told["response"])
    if not all(isinstance(each, str) for each in turns):
        raise TypeError("an answer is text")
    return str(told["id"]), turns
