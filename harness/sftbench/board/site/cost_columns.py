"""The columns of a board's page about cost: methods at equal total compute, from when on choosing pays, the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sftbench.board.equal_cost import (
    above_line,
    at_equal_compute,
    choosing_rows_text,
    difference,
    equal_beside,
    has_control,
    line_text,
    pays_from_rows,
    pays_interval,
    pays_text,
    total_rows_text,
)
from sftbench.board.making import CONTROL, estimate_of, front
from sftbench.board.site.tables import Column, columns_of, digits_of
from sftbench.board.statistics import Estimate
from sftbench.board.table import Board, BoardRow

AT_EQUAL_COST = "at equal cost"
BESIDE = (
    AT_EQUAL_COST, "against the line", "total FLOPs", "random with the same compute", "choosing in random rows",
    "pays from", "front",
)  # fmt: skip
"""The columns that are shown in the order at equal cost, beside method and score."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A button that sorts by the column `sort` and shows the columns `show` alone; all are counted from 1."""

    label: str
    sort: int
    show: tuple[int, ...]


def with_cost_columns(board: Board) -> list[Column]:
    """All columns of a board's table: those about cost stand after the total, and at equal cost with other controls."""
    columns = []
    for column in columns_of(board):
        columns.append(_at_equal_cost(board) if column.name == f"against {CONTROL}" else column)
        if column.name == "total FLOPs":
            columns += [*_paying(board), _front(board)]
    return columns


def _at_equal_cost(board: Board) -> Column:
    """A row against random rows with the same total compute."""
    digits = digits_of(board, board.sort_metric)
    return Column(
        name=AT_EQUAL_COST,
        heading=AT_EQUAL_COST,
        kind="matched",
        value=lambda row: difference(board, row),
        compared=lambda row: found.comparison if (found := at_equal_compute(board, row)) else None,
        text=lambda row: equal_beside(board, row),
        first="down" if board.bigger_is_better.get(board.sort_metric, True) else "up",
        shown=True,
        digits=digits,
        about="paired difference to random rows with the same total compute",
    )


def _paying(board: Board) -> list[Column]:
    """What random reaches with the same compute, what choosing cost in its rows, and from when on it pays."""
    if not any(row.break_even for row in board.rows):
        return []

    def of_random(row: BoardRow) -> Estimate | None:
        found = at_equal_compute(board, row)
        return estimate_of(found.control, board.sort_metric) if found else None

    with_control = Column(
        name="random with the same compute",
        heading="random, same compute",
        kind="estimate",
        value=lambda row: found.mean if (found := of_random(row)) else None,
        estimate=of_random,
        digits=digits_of(board, board.sort_metric),
        first="down" if board.bigger_is_better.get(board.sort_metric, True) else "up",
        about=f"{board.sort_metric} of random rows with the total compute of this row",
    )
    digits = digits_of(board, board.sort_metric)
    line = Column(
        name="against the line",
        heading="against the line",
        kind="number",
        value=lambda row: above_line(board, row),
        text=lambda row: line_text(board, row, digits),
        first="down" if board.bigger_is_better[board.sort_metric] else "up",
        about="the mean above the line through all random rows at this total compute",
    )
    return [
        line,
        *([with_control] if any(has_control(board, budget) for budget in board.budgets) else []),
        Column(
            name="total in random rows",
            heading="total, in random rows",
            kind="number",
            value=lambda row: row.break_even.total_rows if row.break_even else None,
            text=total_rows_text,
            about="total FLOPs over the price of training on one random row",
        ),
        Column(
            name="choosing in random rows",
            heading="choosing, in random rows",
            kind="number",
            value=lambda row: row.break_even.choosing_rows if row.break_even else None,
            text=choosing_rows_text,
            about="FLOPs before training over the price of training on one random row",
        ),
        Column(
            name="pays from",
            heading="pays from, rows",
            kind="number",
            value=pays_from_rows,
            text=lambda row: pays_text(board, row),
            tip=pays_interval,
            about="rows to train on from which choosing pays, if random goes on needing so many times as many",
        ),
    ]


def _front(board: Board) -> Column:
    best = {(row.budget, row.label) for budget in board.budgets for row in front(board, budget)}

    def is_on(row: BoardRow) -> bool:
        return (row.budget, row.label) in best

    return Column(
        name="front",
        heading="on the front",
        kind="number",
        value=lambda row: 1 if is_on(row) else None,
        text=lambda row: "★" if is_on(row) else "",
        first="down",
        about="no method and no plain random rows that cost less are better by the mean",
    )


def presets(board: Board, columns: Sequence[Column]) -> list[Preset]:
    """The orders of a table of `columns` that are a click away, where a row can be held to random with the same
    compute."""
    numbers = {column.name: number for number, column in enumerate(columns, 1)}
    if AT_EQUAL_COST not in numbers:
        return []
    beside = tuple(numbers[name] for name in (board.sort_metric, *BESIDE) if name in numbers)
    at_first = tuple(number for number, column in enumerate(columns, 1) if column.shown)
    return [
        Preset(label="By score", sort=numbers["rank"], show=at_first),
        Preset(label=AT_EQUAL_COST.capitalize(), sort=numbers[AT_EQUAL_COST], show=beside),
    ]
