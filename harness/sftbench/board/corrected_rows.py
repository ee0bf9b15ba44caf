"""The win rates of a board's rows corrected by the judge's card, and what the card says to its readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from sftbench.board.correction import Why, corrected
from sftbench.board.judge_card import CardFacts
from sftbench.board.table import Board, BoardRow
from sftbench.board.texts import label, one_line

_WHY: dict[Why, str] = {
    "chance": "it is not told apart from a judge that guesses",
    "one-sided": "they are further from 50 than a judge could make them that errs as often as it did when it was "
    "checked, so it errs less here",
}


def correct_rows(rows: Sequence[BoardRow], card: CardFacts | None) -> list[BoardRow]:
    """The rows with their corrected win rates, where the card has an agreement and they can be told."""
    if card is None or card.agreement is None:
        return list(rows)
    agreement = card.agreement
    return [
        row
        if row.win_rate is None or row.is_baseline
        else dataclasses.replace(row, win_rate_corrected=corrected(row.win_rate, agreement).estimate)
        for row in rows
    ]


def correction_notes(board: Board, card: CardFacts | None) -> Iterator[str]:
    """What is to be known of the judge before its win rates are read, and why some are not corrected."""
    if card is None:
        return
    if not board.judged:
        yield f"The judge {one_line(board.judge or '?')}, by its card: {' '.join(map(one_long_line, card.words))}"
    if card.agreement is None:
        yield "Win rates are as judged: nothing is known of how often this judge is right."
        return
    on = f"{card.agreement.num} pairs ({one_line(card.on)})"
    yield f"Corrected win rates rest on how often it preferred the better answer of {on}."
    if card.rewards_length:
        yield "The correction does not take out that this judge rewards length: it errs in favour of longer answers."
    rated = [(row, row.win_rate) for row in board.rows if row.win_rate is not None and not row.is_baseline]
    for why, text in _WHY.items():
        rows = [label(row) for row, rate in rated if corrected(rate, card.agreement).why == why]
        if rows:
            whose = "any row" if len(rows) == len(rated) else ", ".join(dict.fromkeys(rows))
            yield f"What the win rate would be by a judge that is always right cannot be told for {whose}: {text}."


def one_long_line(text: str) -> str:
    """A sentence of the card, however long it is."""
    return one_line(text, 400)
