"""What people see: Markdown and terminal, with hostile names, narrow windows and no terminal at all."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from rich.console import Console

from sftbench.board import texts
from sftbench.board.build import build_board
from sftbench.board.markdown import escaped
from sftbench.board.render import board_csv, board_lines, board_markdown, print_board, render_rich
from sftbench.board.statistics import Estimate

HOSTILE = "a|b\n# *bold* [red]x[/red] `c` <script> \x1b[31m ~~d~~ [link](http://e)"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def many(results: Any) -> None:
    """A board as a run makes it: methods, controls, failures, two budgets."""
    for budget in ("10%", "20%"):
        for label, skill in (("tshirt[mode=official]", 0.61), ("ifd_super", 0.6), ("longest", 0.45)):
            results.add(label, budget=budget, skill=skill)
        results.add("random", budget=budget, skill=0.42, kind="control", verdicts=None)
        results.add(
            "random-tokens(tshirt[mode=official])",
            method="random-tokens",
            budget=budget,
            kind="control",
            matched_to="tshirt[mode=official]",
        )
        results.fail("zip", budget=budget, seed=0)


def table_rows(page: str) -> list[list[str]]:
    """The cells of every table line, split at bars that are not escaped."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_hostile_names_stay_inside_their_cell(results: Any) -> None:
    results.add(HOSTILE, budget="10%")
    results.fail("other" + HOSTILE, seed=0, message=HOSTILE)
    page = board_markdown(build_board(results.folder))
    heads = {len(cells) for cells in table_rows(page)}
    assert heads <= {5, 6, 7, 8, 9}
    tables = re.split(r"\n\n", page)
    for table in tables:
        assert len({len(cells) for cells in table_rows(table)}) <= 1
    assert "<script>" not in page
    assert "\x1b" not in page
    assert [line for line in page.splitlines() if line.startswith("#") and "bold" in line] == []


def test_markdown_marks_are_escaped_and_intervals_stay_readable() -> None:
    assert escaped("a_b|c") == "a\\_b\\|c"
    assert escaped("0.52 [0.47, 0.57]") == "0.52 [0.47, 0.57]"
    assert escaped("[x]") == "\\[x\\]"


def test_hostile_names_are_shown_literally_in_the_terminal(results: Any) -> None:
    results.add(HOSTILE)
    results.add("[bold]", skill=0.2)
    stream = io.StringIO()
    Console(file=stream, width=300, force_terminal=True, color_system="standard").print(
        render_rich(build_board(results.folder))
    )
    shown = stream.getvalue()
    assert "[red]x[/red]" in shown
    assert "[bold]" in shown
    assert "\x1b[31m [" not in shown


def test_csv_keeps_names_as_they_are(results: Any) -> None:
    results.add(HOSTILE)
    (row,) = csv.DictReader(io.StringIO(board_csv(build_board(results.folder)), newline=""))
    assert row["label"] == HOSTILE


@pytest.mark.parametrize("width", [100, 120, 160])
def test_terminal_tables_fit_and_no_number_is_cut(results: Any, width: int) -> None:
    many(results)
    board = build_board(results.folder)
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_rich(board, width=width))
    shown = stream.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= width
    for row in (each for each in board.rows if each.matched_to is None):
        for name, estimate in row.metrics.items():
            digits = texts.decimals([each.metrics[name] for each in board.of(row.budget) if each.metrics], name)
            assert texts.interval(estimate, digits) in shown
    assert "…" not in shown
    assert ("memory" in shown) == (width >= 120)


def test_without_a_terminal_there_are_plain_lines(results: Any) -> None:
    many(results)
    board = build_board(results.folder)
    stream = io.StringIO()
    print_board(board, stream)
    assert stream.getvalue().splitlines() == board_lines(board)
    assert "─" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_no_color_is_honoured_on_a_terminal(results: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    many(results)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colours = re.compile(r"\x1b\[[0-9;]*3[0-7]")
    coloured, plain = Terminal(), Terminal()
    print_board(build_board(results.folder), coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    print_board(build_board(results.folder), plain)
    assert colours.search(coloured.getvalue())
    assert not colours.search(plain.getvalue())


def test_the_header_says_in_words_what_was_compared_and_who_is_tied(results: Any) -> None:
    many(results)
    page = board_markdown(build_board(results.folder))
    for words in (
        "Pool pool: 720 rows, 10% of them planted with defects (8.0% of the response tokens).",
        "Base model tiny.",
        "Budgets 10% (72 rows), 20% (72 rows); seeds 0, 1, 2.",
        "exact-match 120 items",
        "Sorted by exact-match, bigger is better.",
        "At 10% ifd\\_super and tshirt\\[mode=official\\] cannot be told apart as best.",
    ):
        assert words in page


def test_controls_failures_and_ties_are_marked(results: Any) -> None:
    many(results)
    cells = table_rows(board_markdown(build_board(results.folder)))
    methods = [line[3].strip() for line in cells if len(line) >= 8]
    assert "*◦random*" in methods
    assert any(line[1].strip() == "1 ≈" for line in cells)
    assert any(line[4].strip() == "0, 1 failed, 2 missing" for line in cells if len(line) > 4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.9, "1k"),
        (1234, "1.23k"),
        (4.56e12, "4.56T"),
        (2e15, "2P"),
        (None, "–"),
        (0.25, "0.25"),
    ],
)
def test_amounts_have_three_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert texts.amount(value) == text


def test_intervals_are_written_as_promised() -> None:
    estimate = Estimate(mean=0.524, low=0.4681, high=-0.0001 + 0.57, num_seeds=3, num_items=9, num_failed_items=0)
    assert texts.interval(estimate, 2) == "0.52 [0.47, 0.57]"
    assert texts.interval(None, 2) == "–"
    tiny = Estimate(mean=-0.0001, low=None, high=None, num_seeds=1, num_items=1, num_failed_items=0)
    assert texts.interval(tiny, 2) == "0.00"


def test_labels_lose_line_breaks_and_control_characters_and_are_cut() -> None:
    assert texts.one_line("a\n\tb\x1b[0m\u202e c") == "a b [0m c"
    assert len(texts.one_line("x" * 500)) == 160
