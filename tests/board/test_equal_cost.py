"""Rows against random rows with the same total compute: phases, order, front, and what the board says of it."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench.board.build import build_board
from sftbench.board.cost_words import cost_story, told_at_equal_cost
from sftbench.board.equal_cost import (
    at_equal_compute,
    by_equal_cost,
    equal_cost_columns,
    pays_from_rows,
    pays_interval,
    pays_text,
)
from sftbench.board.making import front, making_flops, phases_of, unbeaten
from sftbench.board.markdown import board_markdown
from sftbench.board.render import board_lines, board_records, render_rich
from sftbench.board.site.cost_columns import presets, with_cost_columns
from sftbench.board.site.files import site_files
from sftbench.board.site.pages import cost_chart, shown_columns
from sftbench.board.site.phases import phase_strip
from sftbench.board.table import Board, BoardRow, BreakEven

NUM_ITEMS = 120


def row(results: Any, label: str, *, right: int, rows: int, cost: dict[str, float], **about: Any) -> None:
    """A row that gets `right` of 120 items in each of three seeds, in every one the same."""
    for seed in range(3):
        cell = results.cell(label, seed=seed, **{"verdicts": None, **about})
        cell["evaluations"].pop("nll")
        cell["evaluations"]["exact-match"]["items"] = {"exact-match": [1.0] * right + [0.0] * (NUM_ITEMS - right)}
        cell["selection"] |= {"num_rows": rows, "ids_hash": f"{label} {seed}"}
        cell["cost"] = {phase: {"flops": flops} for phase, flops in cost.items()}
        results.write(cell)


def control(results: Any, method: str, *, right: int, rows: int, **about: Any) -> None:
    """Random rows with the compute of a method, at 100 FLOPs each."""
    row(
        results, f"random-compute({method})", right=right, rows=rows, cost={"training": 100.0 * rows},
        method="random-compute", kind="control", matched_to=method, **about,
    )  # fmt: skip


def compared(results: Any) -> Board:
    """Dear is best by its score, and by far the worst for what it cost; frugal is the other way round."""
    row(results, "random", right=40, rows=40, cost={"training": 4000.0}, kind="control")
    row(results, "dear", right=90, rows=40, cost={"selecting": 56000.0, "training": 4000.0, "evaluating": 1e9})
    control(results, "dear", right=118, rows=600)
    row(results, "frugal", right=80, rows=40, cost={"selecting": 1000.0, "generating": 1000.0, "training": 4000.0})
    control(results, "frugal", right=50, rows=60)
    row(results, "middling", right=60, rows=40, cost={"selecting": 96000.0, "training": 4000.0, "judging": 1e9})
    control(results, "middling", right=60, rows=720)
    return build_board(results.folder, num_resamples=200)


def by_label(board: Board) -> dict[str, BoardRow]:
    return {each.label: each for each in board.rows}


def test_total_compute_is_what_it_takes_to_make_the_model(results: Any) -> None:
    rows = by_label(compared(results))
    assert {label: making_flops(rows[label]) for label in ("random", "dear", "frugal", "middling")} == {
        "random": 4000, "dear": 60000, "frugal": 6000, "middling": 100000,
    }  # fmt: skip
    assert making_flops(dataclasses.replace(rows["dear"], asked=("m",))) is None


def test_rows_are_ordered_by_what_they_add_to_random_with_the_same_compute(results: Any) -> None:
    board = compared(results)
    assert [each.label for each in board.rows if each.matched_to is None] == ["dear", "frugal", "middling", "random"]
    assert [each.label for each in by_equal_cost(board, "10%")] == ["frugal", "middling", "random", "dear"]
    rows = by_label(board)
    found = {label: at_equal_compute(board, rows[label]) for label in ("dear", "frugal", "middling", "random")}
    assert {label: each and each.comparison.outcome for label, each in found.items()} == {
        "dear": "worse", "frugal": "better", "middling": "equal", "random": None,
    }  # fmt: skip
    assert {label: each and each.share for label, each in found.items()} == {
        "dear": 1.0, "frugal": 1.0, "middling": pytest.approx(0.72), "random": None,
    }  # fmt: skip
    assert {label: each and each.shows for label, each in found.items()} == {
        "dear": "does not pay", "frugal": "pays", "middling": "open", "random": None,
    }  # fmt: skip
    difference = found["frugal"].comparison.difference.mean if found["frugal"] else None
    assert difference == pytest.approx(30 / NUM_ITEMS)


@pytest.mark.parametrize(
    ("share", "outcome", "shows"),
    [
        (0.5, "better", "open"), (0.96, "better", "pays"), (1.5, "better", "pays"),
        (0.5, "worse", "does not pay"), (1.04, "worse", "does not pay"), (1.5, "worse", "open"),
        (1.0, "equal", "open"),
    ],
)  # fmt: skip
def test_random_with_less_or_more_compute_shows_what_it_can(
    results: Any, share: float, outcome: Any, shows: str
) -> None:
    board = compared(results)
    found = at_equal_compute(board, by_label(board)["frugal"])
    assert found is not None
    comparison = dataclasses.replace(found.comparison, outcome=outcome)
    assert dataclasses.replace(found, share=share, comparison=comparison).shows == shows


def test_the_story_of_a_row_says_whether_choosing_pays(results: Any) -> None:
    board = compared(results)
    stories = {label: list(cost_story(board, found)) for label, found in by_label(board).items()}
    assert stories["frugal"][:2] == [
        "Generating and choosing with frugal cost as much as training on 20 random rows; with its own training on 40 "
        "rows, in all as much as on 60 random rows.",
        "Random with the same total compute (60 rows) reaches 0.42 [0.33, 0.50], so that it pays for itself at this "
        "size.",
    ]
    assert stories["dear"][0].startswith("Choosing with dear cost as much as training on 560 random rows; ")
    assert "it does not pay for itself at this size" in stories["dear"][1]
    assert stories["middling"][1].startswith(
        "Random with 72% of its total compute (720 rows, all that the pool has) reaches 0.50 "
    )
    assert "it has not been shown to pay for itself at this size" in stories["middling"][1]
    assert stories["random"] == []
    counts, *story = told_at_equal_cost(board, "10%")
    assert story == stories["dear"]
    assert counts == (
        "Shown to pay at equal total compute: 1 (frugal); shown not to: 1 (dear); open: 1. "
        "Random had less than all the compute of some: middling 72% only: the pool ended."
    )


def test_a_choice_that_cost_nothing_has_nothing_to_pay_for(results: Any) -> None:
    row(results, "random", right=40, rows=40, cost={"training": 4000.0}, kind="control")
    row(results, "free", right=80, rows=40, cost={"selecting": 0.0, "training": 4000.0})
    control(results, "free", right=40, rows=40)
    control(results, "other", right=90, rows=80)
    board = build_board(results.folder, num_resamples=200)
    told = list(cost_story(board, by_label(board)["free"]))
    assert told[0] == (
        "Choosing with free took no FLOPs before training; its training on 40 rows cost as much as that on 40 random "
        "rows."
    )
    assert told[1].endswith(": less than it.")
    assert told[2].startswith("By the line through all random rows random is as good for the price of about 70 rows")
    assert told[2].endswith("so that it saves training, for nothing spent.")


def test_where_the_control_is_missing_the_board_says_how_to_get_it(results: Any) -> None:
    row(results, "random", right=40, rows=40, cost={"training": 4000.0}, kind="control")
    row(results, "one", right=60, rows=40, cost={"selecting": 1000.0, "training": 4000.0})
    board = build_board(results.folder, num_resamples=50)
    said = "What random reaches with the same total compute is not known; a run with --controls all tells."
    assert said in cost_story(board, by_label(board)["one"])
    assert "\\-\\-controls all" in board_markdown(board) or "--controls all" in board_markdown(board)
    assert any("--controls all" in line for line in board_lines(board, order="cost"))
    assert [column.heading for column in equal_cost_columns(board, "10%")][1] == "exact-match"
    assert presets(board, with_cost_columns(board)) == []
    assert by_equal_cost(board, "10%") == board.of("10%")


def test_of_rows_that_asked_a_model_behind_an_endpoint_nothing_is_said_at_equal_cost(results: Any) -> None:
    row(results, "random", right=40, rows=40, cost={"training": 4000.0}, kind="control")
    row(results, "asking", right=60, rows=40, cost={"selecting": 1000.0, "training": 4000.0}, asked=["m"])
    control(results, "asking", right=40, rows=50)
    board = build_board(results.folder, num_resamples=50)
    asking = by_label(board)["asking"]
    assert at_equal_compute(board, asking) is None
    assert list(cost_story(board, asking)) == [
        "What choosing cost is not known: a language model behind an endpoint was asked."
    ]
    assert [each.label for each in front(board, "10%")] == ["random"]
    assert "not known" in {column.text(asking) for column in with_cost_columns(board)}
    assert [each.label for each in presets(board, with_cost_columns(board))] == ["By score", "At equal cost"]


@pytest.mark.parametrize(
    ("factor", "low", "high", "beyond", "text"),
    [
        (2.0, 0.5, 3.0, False, "(80 [20, 120])"),
        (0.7, 0.0, 0.8, True, "(≤ 28 [0, 32])"),
        (None, None, None, False, "never"),
        (0.0, 0.0, 0.0, False, "(0)"),
        (5000.0, 51.0, 5100.0, False, "200k [2040, 204k]"),
        (5000.0, 50.0, 5100.0, False, "?"),
        (5000.0, 0.0, None, False, "?"),
        (2.0, 0.5, None, False, "?"),
        (None, 4.0, None, False, "?"),
        (2.0, None, None, False, "?"),
        (2.0, 0.0, 201.0, True, "?"),
    ],
)
def test_from_when_on_it_pays_is_told_in_rows(
    results: Any, factor: float | None, low: float | None, high: float | None, beyond: bool, text: str
) -> None:
    found = BreakEven(
        choosing_rows=1.0, total_rows=2.0, random_rows=3.0, beyond=beyond, is_known=True, factor=factor, low=low,
        high=high, random_as_good=0,
    )  # fmt: skip
    board = compared(results)
    some = dataclasses.replace(by_label(board)["dear"], break_even=found)
    # Dear is worse than random with the same compute: what has it pay at its size is not borne out.
    assert pays_text(board, some) == (text if factor != 2.0 or text == "?" else text.strip("()"))
    assert pays_from_rows(some) == (None if text == "?" or factor is None else pytest.approx(factor * 40))
    told = pays_interval(some)
    assert told.startswith("95 %, taken alone: ") if text == "?" else not told
    unknown = dataclasses.replace(some, break_even=dataclasses.replace(found, is_known=False))
    assert pays_text(board, unknown) == "–"
    if beyond and text != "?":
        single = dataclasses.replace(some, break_even=dataclasses.replace(found, random_as_good=2))
        assert "≤" not in pays_text(board, single)


def test_the_front_has_what_nothing_cheaper_beats(results: Any) -> None:
    board = compared(results)
    # Dear cost as much as random rows that are better, so that it is not on the front, and they are.
    assert [each.label for each in front(board, "10%")] == ["random", "frugal", "random-compute(dear)"]
    starred = [each for each in with_cost_columns(board) if each.name == "front"]
    assert {row.label for row in board.rows if starred[0].text(row)} == {"random", "frugal", "random-compute(dear)"}
    _, points = cost_chart(board, "10%")
    assert [point.label for point in points if point.on_front] == ["random", "frugal", "random-compute(dear)"]
    records = {record["label"]: record["on_front"] for record in board_records(board)}
    assert (records["dear"], records["random-compute(dear)"], records["random-compute(frugal)"]) == (False, True, False)


@pytest.mark.parametrize(("method", "front_has"), [("random-tokens", True), ("random-lengths", False)])
def test_random_rows_of_any_size_can_be_on_the_front_and_those_matched_in_lengths_cannot(
    results: Any, method: str, front_has: bool
) -> None:
    row(results, "random", right=40, rows=40, cost={"training": 4000.0}, kind="control")
    row(results, "one", right=60, rows=40, cost={"selecting": 1000.0, "training": 4000.0})
    about: dict[str, Any] = {"method": method, "kind": "control", "matched_to": "one"}
    row(results, f"{method}(one)", right=70, rows=42, cost={"training": 4200.0}, **about)
    board = build_board(results.folder, num_resamples=50)
    told = ["random", f"{method}(one)"] if front_has else ["random", "one"]
    assert [each.label for each in front(board, "10%")] == told
    drawings, points = cost_chart(board, "10%")
    assert drawings is not None
    assert [point.label for point in points if point.on_front] == told
    # Random rows that are matched to a method are drawn without a name.
    assert all([point.label for point in drawing.named] == ["random", "one"] for drawing in drawings)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_unbeaten_points_are_those_that_no_other_dominates(points: list[tuple[int, int]]) -> None:
    found = unbeaten((name, cost, goodness) for name, (cost, goodness) in enumerate(points))
    beaten = {
        name
        for name, (cost, goodness) in enumerate(points)
        for other, (price, worth) in enumerate(points)
        if price <= cost and worth >= goodness and ((price, -worth) != (cost, -goodness) or other < name)
    }
    assert sorted(found) == sorted(set(range(len(points))) - beaten)


def test_phases_are_told_apart_and_in_order(results: Any) -> None:
    board = compared(results)
    assert phases_of(board.rows) == ["selecting", "generating", "training", "evaluating", "judging"]
    page = board_markdown(board)
    assert "generating FLOPs" in page
    assert "judging time" in page
    assert "selecting and evaluating" not in page
    (record,) = [each for each in board_records(board) if each["label"] == "frugal"]
    assert (record["generating_flops"], record["making_flops"], record["on_front"]) == (1000, 6000, True)
    assert (record["share_of_equal_compute"], record["outcome_at_equal_compute"]) == (1.0, "better")
    assert record["random_at_equal_compute"] == pytest.approx(50 / NUM_ITEMS, rel=1e-5)


def test_older_records_with_three_phases_are_read_and_what_they_lack_is_said(results: Any) -> None:
    results.add("old")
    results.add("random", kind="control", verdicts=None)
    board = build_board(results.folder, num_resamples=50)
    assert phases_of(board.rows) == ["selecting", "training", "evaluating"]
    assert "judging time" not in board_markdown(board)
    said = [note for note in board.notes if "told apart have what these cost under selecting and evaluating" in note]
    assert len(said) == 1
    for path in results.folder.rglob("seed-*.json"):
        cell = json.loads(path.read_text())
        cell["cost"] |= {"judging": {"flops": 1.0}} if cell["verdicts"] else {}
        path.write_text(json.dumps(cell))
    notes = build_board(results.folder, num_resamples=50).notes
    assert said[0] not in notes
    cell |= {"generated": {"num_rows": 3}}
    path.write_text(json.dumps(cell))
    assert said[0] in build_board(results.folder, num_resamples=50).notes


def test_the_terminal_orders_by_cost_when_asked(results: Any) -> None:
    board = compared(results)
    lines = board_lines(board, order="cost")
    start = lines.index("Budget 10% (40 rows): by the difference to random with the same total compute")
    assert [line.split()[0] for line in lines[start + 2 : start + 6]] == ["frugal", "middling", "◦random", "dear"]
    assert "better +0.25" in lines[start + 2]
    assert "≈ +0.00 (at 72%)" in lines[start + 3]
    assert "itself" in lines[start + 4]
    assert not any("same total compute" in line for line in board_lines(board)[:start])


@pytest.mark.parametrize("width", [100, 120])
def test_a_narrow_terminal_shows_every_method_and_every_column(results: Any, width: int) -> None:
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=width).print(render_rich(compared(results), width=width, order="cost"))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    table = text.partition("same total compute")[2].partition("data and cost")[0]
    for told in ("dear", "frugal", "middling", "better +0.25", "560", "choosing,", "front", "0.75"):
        assert told in table, told


def test_the_site_has_the_order_and_the_story(results: Any, tmp_path: Path) -> None:
    board = compared(results)
    files = site_files(board, results.folder, tmp_path / "out")
    index = files["index.html"]
    assert "Does choosing pay for itself?" in index
    columns = shown_columns(board)
    by_name = {column.name: number for number, column in enumerate(columns, 1)}
    (_, at_equal_cost) = presets(board, columns)
    assert at_equal_cost.sort == by_name["at equal cost"]
    assert {by_name["pays from"], by_name["front"], by_name["exact-match"]} <= set(at_equal_cost.show)
    assert f"data-sort={at_equal_cost.sort}" in index
    assert "against random-compute" not in by_name
    page = next(text for name, text in files.items() if name.startswith("rows/frugal"))
    assert "so that it pays for itself at this size" in page
    assert "class=generating" in page


def test_a_strip_of_phases_is_as_wide_as_its_shares(results: Any) -> None:
    rows = by_label(compared(results))
    found = phase_strip(rows["frugal"])
    assert [(each.phase, each.start, each.wide) for each in found] == [
        ("selecting", 0, 100), ("generating", 100, 100), ("training", 200, 400),
    ]  # fmt: skip
    assert sum(each.share for each in found) == pytest.approx(1)
    assert phase_strip(rows["random"]) == []
    assert phase_strip(dataclasses.replace(rows["frugal"], asked=("m",))) == []
