"""The board for the terminal: coloured tables by rich, or plain lines where nobody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TextIO

from sftbench.board import columns as told
from sftbench.board.cost_words import FLAG, equal_cost_legend
from sftbench.board.equal_cost import by_equal_cost, equal_cost_columns, has_control
from sftbench.board.judged_text import JudgedColumn, groups, judged_columns, judged_words
from sftbench.board.judgement import JudgedRow
from sftbench.board.table import Board, BoardRow
from sftbench.board.texts import budget_name
from sftbench.board.words import header, matched_note

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

Order = Literal["score", "cost"]
KEY = "≈ cannot be told apart from the best; ◦ control; intervals are 95 %"
WIDE = 120
"""Columns from which the measured ones fit too."""


def render_rich(board: Board, *, width: int = WIDE, order: Order = "score", matched: bool = False) -> Group:
    """Header, two tables per budget, failures and notes, for a terminal `width` columns wide (100 and more).

    The tables have controls that are matched to a method only if `matched`."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Text | Table] = [Text(" ".join(header(board)))]
    for budget in board.budgets:
        for title, columns, rows in _tables(board, budget, width, order, matched):
            parts.append(_rich_table(title, columns, rows))
    parts += [_rich_judged(*each) for each in _judged(board)]
    parts += [Text("judge: " + line) for line in judged_words(board)]
    parts += [Text("failed: " + line, style="red") for line in told.failure_lines(list(board.rows))]
    parts += [Text("note: " + line) for line in [*_of_cost(board, order), *_notes(board, matched)]]
    return Group(*parts, Text(KEY, style="dim"))


def board_lines(board: Board, *, order: Order = "score", matched: bool = False) -> list[str]:
    """The same as plain lines, columns apart by two blanks, as wide as it takes."""
    lines = header(board)
    for budget in board.budgets:
        for title, columns, of_budget in _tables(board, budget, WIDE, order, matched):
            lines += ["", title, *_aligned(columns, of_budget)]
    for title, heads, rows in _judged(board):
        cells = [[each.text(row) for each in heads] for row in rows]
        lines += ["", title, *_laid_out([(each.heading, each.right) for each in heads], cells)]
    lines.append("")
    lines += [f"judge: {line}" for line in judged_words(board)]
    lines += [f"failed: {line}" for line in told.failure_lines(list(board.rows))]
    lines += [f"note: {line}" for line in [*_of_cost(board, order), *_notes(board, matched)]]
    return [*lines, KEY]


def print_board(board: Board, stream: TextIO, *, order: Order = "score", matched: bool = False) -> None:
    """Tables when `stream` is a terminal (colours as `NO_COLOR` allows), plain lines otherwise."""
    if not stream.isatty():
        stream.write("\n".join(board_lines(board, order=order, matched=matched)) + "\n")
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    console.print(render_rich(board, width=console.width, order=order, matched=matched))


def _judged(board: Board) -> list[tuple[str, list[JudgedColumn], list[JudgedRow]]]:
    """The judged tables, without the columns that a terminal has no room for."""
    return [
        (f"Judged {title}", [column for column in judged_columns(rows) if column.compact], rows)
        for title, rows in groups(board)
    ]


def _rich_judged(title: str, columns: list[JudgedColumn], rows: list[JudgedRow]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), collapse_padding=True
    )
    for column in columns:
        table.add_column(Text(column.heading.replace(" ", "\n")), justify="right" if column.right else "left")
    for row in rows:
        style = "dim italic" if row.kind == "control" else ""
        table.add_row(*(Text(column.text(row)) for column in columns), style=style)
    return table


def _tables(
    board: Board, budget: str, width: int, order: Order, matched: bool
) -> list[tuple[str, list[told.RowColumn], list[BoardRow]]]:
    """Results, or with `order` cost what rows add to random with the same compute; then data and cost."""
    rows = board.of(budget) if matched else told.rows_for_reading(board, budget)
    title = f"Budget {budget_name(board, budget)}"
    results = (f"{title}: results", told.result_columns(board, budget, most_metrics=3), rows)
    columns = equal_cost_columns(board, budget, compact=True, tight=width < WIDE) if order == "cost" else []
    if columns:
        rows = [row for row in by_equal_cost(board, budget) if row.training is not None]
        results = (f"{title}: {_title_of_cost(board, budget)}", columns, rows)
    measured = told.measured_columns(board, making_alone=True) if width >= WIDE else []
    return [results, (f"{title}: data and cost", told.training_columns(board) + measured, rows)]


def _title_of_cost(board: Board, budget: str) -> str:
    if has_control(board, budget):
        return "by the difference to random with the same total compute"
    return f"cost; what random reaches with the same total compute is told by a run with {FLAG}"


def _notes(board: Board, matched: bool) -> list[str]:
    """The board's notes, and where controls are that the tables leave out."""
    return [*([] if matched else [f"{each} ('--all' shows them here)" for each in _left_out(board)]), *board.notes]


def _left_out(board: Board) -> list[str]:
    return [note.rstrip(".") for note in matched_note(board)]


def _of_cost(board: Board, order: Order) -> list[str]:
    """What the columns of the order by cost mean."""
    return equal_cost_legend(board) if order == "cost" else []


def _rich_table(title: str, columns: list[told.RowColumn], rows: list[BoardRow]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), collapse_padding=True
    )
    for column in columns:
        table.add_column(
            Text(column.narrow or column.heading),
            justify="right" if column.right else "left",
            no_wrap=not column.flexible,
            overflow="fold",
            min_width=12 if column is told.METHOD else None,
        )
    for row in rows:
        table.add_row(*(Text(column.text(row)) for column in columns), style=_style(row))
    return table


def _style(row: BoardRow) -> str:
    if row.status == "failed":
        return "red"
    return ("bold " if row.tied_with_best else "") + ("dim italic" if row.kind == "control" else "")


def _aligned(columns: list[told.RowColumn], rows: list[BoardRow]) -> list[str]:
    cells = [[column.text(row) for column in columns] for row in rows]
    return _laid_out([(column.heading, column.right) for column in columns], cells)


def _laid_out(headings: list[tuple[str, bool]], cells: list[list[str]]) -> list[str]:
    lines = [[heading for heading, _ in headings], *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    return [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, (_, right) in zip(line, widths, headings, strict=True)
        ).rstrip()
        for line in lines
    ]
