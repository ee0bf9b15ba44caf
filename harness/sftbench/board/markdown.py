"""The board as Markdown: a header in words, two tables per budget, failures, legend, and last what was measured."""

from __future__ import annotations

import re

from sftbench.board import columns as told
from sftbench.board.cost_words import equal_cost_legend, told_at_equal_cost
from sftbench.board.equal_cost import by_equal_cost, equal_cost_columns
from sftbench.board.judged_text import groups, judged_columns, judged_legend, judged_words
from sftbench.board.table import Board, BoardRow
from sftbench.board.texts import budget_name, one_line
from sftbench.board.words import board_notes, header, legend, matched_note, notes_of

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&!$])")


def board_markdown(board: Board) -> str:
    """The whole page. Only the last section, "Measured", differs between two runs of the same thing."""
    sections = [
        f"# Leaderboard: {escaped(one_line(board.pool.name))}, {escaped(one_line(board.base.name))}",
        escaped(" ".join(header(board))),
        *([_bullets(told_first)] if (told_first := board_notes(board)) else []),
        *map(escaped, matched_note(board)),
        *(section for budget in board.budgets for section in _of_budget(board, budget)),
    ]
    sections += _judged(board)
    failures = told.failure_lines(list(board.rows))
    if failures:
        sections += ["## Failures", _bullets(failures)]
    legends = legend(board) + equal_cost_legend(board) + (judged_legend(board) if board.judged else [])
    sections += ["## Legend", _bullets(legends), "## Measured"]
    sections.append("Device time and memory, as the machine that ran it had them; nothing else depends on the machine.")
    for budget in board.budgets:
        sections += _titled(board, budget, [told.METHOD, *told.measured_columns(board)], level="###")
    return "\n\n".join(sections) + "\n"


def _judged(board: Board) -> list[str]:
    """What judges said, a table for each judge and budget; nothing for a board without."""
    if not board.judged:
        return []
    sections = ["## Judged"]
    words = judged_words(board)
    sections += [_bullets(words)] if words else []
    for title, rows in groups(board):
        columns = judged_columns(rows)
        cells = [[escaped(column.text(row)) for column in columns] for row in rows]
        sections += [f"Judged {escaped(title)}:", _lines([(each.heading, each.right) for each in columns], cells)]
    return sections


def _of_budget(board: Board, budget: str) -> list[str]:
    title = f"## Budget {escaped(budget_name(board, budget))}"
    notes = notes_of(board, budget)
    results = _table([*told.result_columns(board, budget), told.FIDELITY], told.rows_for_reading(board, budget))
    training = ["What was trained on, and what choosing and training cost:", _training(board, budget)]
    return [title, *([_bullets(notes)] if notes else []), results, *_at_equal_cost(board, budget), *training]


def _at_equal_cost(board: Board, budget: str) -> list[str]:
    """Rows by what they add to random rows with the same compute; nothing where no row has chosen."""
    columns = equal_cost_columns(board, budget)
    if not columns:
        return []
    rows = [row for row in by_equal_cost(board, budget) if row.training is not None]
    told = escaped(" ".join(["At equal total cost.", *told_at_equal_cost(board, budget)]))
    return [told, _table(columns, rows)]


def _training(board: Board, budget: str) -> str:
    return _table(told.training_columns(board), told.rows_for_reading(board, budget))


def _titled(board: Board, budget: str, columns: list[told.RowColumn], *, level: str) -> list[str]:
    title = [f"{level} Budget {escaped(budget_name(board, budget))}"] if len(board.budgets) > 1 else []
    return [*title, _table(columns, told.rows_for_reading(board, budget))]


def _table(columns: list[told.RowColumn], rows: list[BoardRow]) -> str:
    cells = [[_cell(column, row) for column in columns] for row in rows]
    return _lines([(column.heading, column.right) for column in columns], cells)


def _lines(headings: list[tuple[str, bool]], cells: list[list[str]]) -> str:
    """A table of escaped cells; headings say whether their column is set to the right."""
    lines = [
        [escaped(heading) for heading, _ in headings],
        ["---:" if right else ":---" for _, right in headings],
        *cells,
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(column: told.RowColumn, row: BoardRow) -> str:
    text = escaped(column.text(row))
    return f"*{text}*" if column is told.METHOD and row.kind == "control" else text


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {escaped(one_line(line, 2000))}" for line in lines)


def escaped(text: str) -> str:
    """Text in which nothing is Markdown or HTML. Brackets of an interval, `[0.47, 0.57]`, are none and stay."""
    parts = re.split(r"(\[-?[0-9.]+, -?[0-9.]+\])", text)
    return "".join(part if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts))
