"""What a board says about cost: nothing in two ways, and nothing that its interval or the control does not bear."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest

from sftbench.board.build import build_board
from sftbench.board.cost_words import cost_story, equal_cost_legend, told_at_equal_cost
from sftbench.board.equal_cost import above_line, at_equal_compute, equal_cost_columns, is_borne_out, pays_text
from sftbench.board.markdown import board_markdown
from sftbench.board.render import board_lines, board_records
from sftbench.board.site.cost_columns import presets, with_cost_columns
from sftbench.board.site.files import site_files
from sftbench.board.site.saying import findings
from sftbench.board.table import Board, BoardRow, BreakEven

NUM_ITEMS = 120


def row(
    results: Any, label: str, *, right: int, rows: int, price: float = 100.0, before: float = 0.0, **about: Any
) -> None:
    """An entry that gets `right` of 120 items in each of three seeds, trained on rows for `price` FLOPs each."""
    for seed in range(3):
        cell = results.cell(label, seed=seed, **{"verdicts": None, **about})
        cell["evaluations"].pop("nll")
        cell["evaluations"]["exact-match"]["items"] = {"exact-match": [1.0] * right + [0.0] * (NUM_ITEMS - right)}
        cell["selection"] |= {"num_rows": rows, "ids_hash": f"{label} {seed}"}
        cell["cost"] = {"selecting": {"flops": before}, "training": {"flops": price * rows}}
        results.write(cell)


def control(results: Any, method: str, *, right: int, rows: int, kind: str = "compute", price: float = 100.0) -> None:
    row(
        results, f"random-{kind}({method})", right=right, rows=rows, price=price, method=f"random-{kind}",
        kind="control", matched_to=method,
    )  # fmt: skip


def of(board: Board, label: str) -> BoardRow:
    (found,) = [each for each in board.rows if each.label == label]
    return found


def known(row: BoardRow) -> BreakEven:
    assert row.break_even is not None
    return row.break_even


def small(results: Any) -> Board:
    """One method at 4,000 FLOPs of training and as many before; random with the same compute is as good."""
    row(results, "random", right=24, rows=36, kind="control")
    row(results, "one", right=60, rows=40, before=4000.0)
    control(results, "one", right=60, rows=80)
    return build_board(results.folder, num_resamples=100)


def told(board: Board, label: str = "one", **changed: Any) -> list[str]:
    """The story of an entry, with another break-even if so wished."""
    found = of(board, label)
    return list(cost_story(board, dataclasses.replace(found, break_even=dataclasses.replace(known(found), **changed))))


@pytest.mark.parametrize("with_single", [True, False])
def test_what_is_above_the_line_may_still_have_random_rows_that_are_as_good(results: Any, with_single: bool) -> None:
    row(results, "random", right=24, rows=36, kind="control")
    # 84 and 72 right: the line that never falls has 78 for both, which 80 is above and the first of the two is not.
    control(results, "x", right=84 if with_single else 78, rows=60, kind="tokens")
    row(results, "full", right=72 if with_single else 78, rows=72, kind="control")
    row(results, "one", right=80, rows=36, before=1800.0)
    board = build_board(results.folder, num_resamples=100)
    found = known(of(board, "one"))
    assert found.beyond
    assert found.random_as_good == (1 if with_single else 0)
    (_, _, last) = cost_story(board, of(board, "one"))
    assert last.startswith("It is above the line through all random rows, which ends at the price of 72 rows")
    assert ("though 1 single entry of random rows is as good by the mean" in last) is with_single
    assert ("from at most 18 rows" in last) is not with_single
    assert ("from about 18 rows" in last) is with_single
    assert pays_text(board, of(board, "one")).startswith("≤ 18") is not with_single
    assert not any("No random rows are as good" in line for line in [last, *equal_cost_legend(board)])


def test_what_random_does_not_show_at_equal_compute_the_line_says_with_a_would(results: Any) -> None:
    board = small(results)
    story = told(board, factor=0.7, low=0.3, high=0.9, random_rows=97.0, random_rows_low=90.0, random_rows_high=99.0)
    assert story[1].endswith("so that it has not been shown to pay for itself at this size.")
    assert story[2] == (
        "By the line through all random rows random is as good for the price of about 97 rows (95 %, taken alone: 90 "
        "to 99), so that by this measure choosing would pay from about 28 rows on (95 %, taken alone: 12 to 36), 0.7 "
        "times this training, but it is not told from random with the same compute."
    )
    never = told(board, factor=None, low=None, high=None, random_rows=30.0, random_rows_low=0.0, random_rows_high=36.0)
    assert "by this measure choosing would never pay, but it is not told from random with" in never[2]
    free = told(board, choosing_rows=0.0, factor=0.0, low=0.0, high=0.0)
    assert "so that it would save training, for nothing spent, but it is not told from" in free[2]
    vain = told(board, choosing_rows=0.0, factor=None, low=None, high=None)
    assert "so that it would save no training, but it is not told from" in vain[2]


@pytest.mark.parametrize(
    ("right", "factor", "borne_out"),
    [(110, 0.7, False), (110, 2.0, True), (110, None, True), (20, 0.7, True), (20, 2.0, False), (20, None, False)],
)
def test_random_with_the_same_compute_bears_out_the_line_or_says_otherwise(
    results: Any, right: int, factor: float | None, borne_out: bool
) -> None:
    row(results, "random", right=24, rows=36, kind="control")
    row(results, "one", right=60, rows=40, before=4000.0)
    control(results, "one", right=right, rows=80)
    board = build_board(results.folder, num_resamples=100)
    changed = {"factor": factor, "low": factor, "high": factor, "random_rows": 50.0}
    found = of(board, "one")
    assert is_borne_out(board, dataclasses.replace(found, break_even=dataclasses.replace(known(found), **changed))) is (
        borne_out
    )
    last = told(board, **changed)[2]
    assert ("but random with the same compute shows otherwise" in last) is not borne_out
    assert ("would" in last) is not borne_out


@pytest.mark.parametrize(
    ("low", "factor", "high", "said"),
    [
        (0.0, 0.7, None, "0 to never"), (3.1, 260.0, None, "124 to never"), (0.01, 0.2, 1.1, "0 to 44"),
        (4.0, None, None, "160 to never"),
    ],
)  # fmt: skip
def test_an_interval_that_is_too_wide_leaves_no_estimate(
    results: Any, low: float, factor: float | None, high: float | None, said: str
) -> None:
    board = small(results)
    story = told(board, low=low, factor=factor, high=high)
    assert story[2] == f"From which size on it pays is not known (95 %, taken alone: {said})."
    free = told(
        board, choosing_rows=0.0, low=low, factor=factor, high=high, random_rows_low=12.0, random_rows_high=None
    )
    assert free[2].startswith("Whether it saves training is not known: by the line through all random rows random is ")
    assert "for the price of 12 to more than all of them (95 %, taken alone), and its training cost as much" in free[2]


def test_the_line_and_the_interval_of_what_random_needs_are_told(results: Any) -> None:
    row(results, "random", right=24, rows=36, kind="control")
    control(results, "x", right=72, rows=72, kind="tokens")
    # As much in all as 36 * sqrt(2) rows: half way from 24 to 72 right on a logarithmic axis.
    row(results, "one", right=60, rows=36, before=36 * (math.sqrt(2) - 1) * 100)
    row(results, "dear", right=60, rows=36, before=1e6)
    row(results, "cheap", right=60, rows=30)
    board = build_board(results.folder, num_resamples=200)
    assert known(of(board, "one")).random_line == pytest.approx(48 / NUM_ITEMS)
    assert above_line(board, of(board, "one")) == pytest.approx(12 / NUM_ITEMS)
    assert known(of(board, "dear")).random_line == pytest.approx(72 / NUM_ITEMS)
    assert known(of(board, "cheap")).random_line == pytest.approx(24 / NUM_ITEMS)
    assert above_line(board, of(board, "random")) is None
    found = known(of(board, "one"))
    # Three quarters of the way up the line.
    assert found.random_rows == pytest.approx(36 * 2**0.75)
    assert found.random_rows_low is not None
    assert found.random_rows_high is not None
    assert 36 < found.random_rows_low < found.random_rows < found.random_rows_high <= 72
    (record,) = [each for each in board_records(board) if each["label"] == "one"]
    assert record["random_line"] == pytest.approx(0.4)
    columns = {each.heading: each for each in equal_cost_columns(board, "10%")}
    assert columns["against the line"].text(of(board, "one")) in ("+0.10", "+0.100")
    assert columns["against the line"].text(of(board, "random")) == "–"


def test_the_line_is_in_the_units_of_a_metric_of_which_less_is_better(results: Any) -> None:
    for label, nll, rows, about in (
        ("random", 2.0, 36, {"kind": "control"}),
        ("random-tokens(x)", 1.0, 72, {"kind": "control", "method": "random-tokens", "matched_to": "x"}),
        ("one", 1.75, 36, {}),
    ):
        for seed in range(2):
            cell = results.cell(label, seed=seed, **about)
            cell["evaluations"]["nll"]["items"] = {"nll": [nll] * NUM_ITEMS}
            cell["selection"] |= {"num_rows": rows, "ids_hash": f"{label} {seed}"}
            before = 36 * (math.sqrt(2) - 1) * 100 if label == "one" else 0.0
            cell["cost"] = {"selecting": {"flops": before}, "training": {"flops": 100.0 * rows}}
            results.write(cell)
    board = build_board(results.folder, sort_metric="nll", num_resamples=50)
    assert known(of(board, "one")).random_line == pytest.approx(1.5)
    assert known(of(board, "one")).random_as_good == 1
    assert above_line(board, of(board, "one")) == pytest.approx(0.25)


def short(results: Any) -> Board:
    """Random rows of two methods had less compute than these: one is not told from them, one is worse."""
    row(results, "random", right=40, rows=40, kind="control")
    for label, right in (("even", 60), ("short", 60), ("shorter", 10)):
        row(results, label, right=right, rows=40, before=4000.0 if label == "even" else 96000.0)
    control(results, "even", right=60, rows=80)
    control(results, "short", right=60, rows=800)
    control(results, "shorter", right=90, rows=720)
    return build_board(results.folder, num_resamples=100)


def test_random_rows_with_less_compute_are_told_wherever_the_control_is(results: Any, tmp_path: Path) -> None:
    board = short(results)
    said = "short 80%, shorter 72% only: the pool ended"
    (found,) = [each for each in findings(board, "10%").against if each.control == "random-compute"]
    assert (found.num_equal, found.num_open, found.short) == (1, 1, said)
    assert [each.label for each in found.worse] == ["shorter"]
    note = f"against random-compute (matched to each method; {said}): worse: shorter; 1 cannot be told apart from it; "
    assert any(note + "1 not told apart from less compute, so open." in each for each in board.notes)
    counts = told_at_equal_cost(board, "10%")[0]
    assert counts.startswith("Shown to pay at equal total compute: none; shown not to: 1 (shorter); open: 2. Random")
    assert counts.endswith(f"{said}.")
    assert any(said in line for line in board_lines(board, order="cost"))
    assert said in board_markdown(board)
    files = site_files(board, results.folder, tmp_path / "out")
    assert f"({said})" in files["index.html"]
    assert "1 not told apart from less compute is open" in files["index.html"]
    assert said in files["methods/random-compute.html"]
    assert said not in files["methods/random.html"]


def test_where_the_pool_has_more_rows_its_end_is_not_told(results: Any) -> None:
    row(results, "random", right=40, rows=40, kind="control")
    row(results, "one", right=60, rows=40, before=4000.0)
    control(results, "one", right=60, rows=60)
    board = build_board(results.folder, num_resamples=50)
    assert "one 75% only." in told_at_equal_cost(board, "10%")[0]
    assert not any("the pool ended" in each for each in board.notes)
    last = told(board, factor=0.7, low=0.3, high=0.9)[2]
    assert last.endswith("but it is not told from random with 75% of its compute.")


def test_counts_come_first_and_name_who_is_shown_what(results: Any) -> None:
    row(results, "random", right=40, rows=40, kind="control")
    for label, right, beside in (("best", 110, 60), ("worst", 5, 60), ("alike", 60, 60)):
        row(results, label, right=right, rows=40, before=4000.0)
        control(results, label, right=beside, rows=80)
    row(results, "alone", right=50, rows=40, before=4000.0)
    board = build_board(results.folder, num_resamples=100)
    counts, choosing, *_ = told_at_equal_cost(board, "10%")
    assert counts == (
        "Shown to pay at equal total compute: 1 (best); shown not to: 1 (worst); open: 1; not compared: 1."
    )
    assert choosing.startswith("Choosing with best ")


@pytest.mark.parametrize(
    ("price", "rows", "said"),
    [
        (100.0, 80, "(80 rows)"), (80.0, 100, "(100 rows, on the average shorter than those of random)"),
        (125.0, 64, "(64 rows, on the average longer than those of random)"),
        (11.0, 727, "(727 rows, all that the pool has)"),
    ],
)  # fmt: skip
def test_why_the_control_has_another_number_of_rows_is_told(results: Any, price: float, rows: int, said: str) -> None:
    row(results, "random", right=24, rows=36, kind="control")
    row(results, "one", right=60, rows=40, before=4000.0)
    control(results, "one", right=60, rows=rows, price=price)
    board = build_board(results.folder, num_resamples=50)
    story = list(cost_story(board, of(board, "one")))
    assert story[0] == (
        "Choosing with one cost as much as training on 40 random rows; with its own training on 40 rows, in all as "
        "much as on 80 random rows."
    )
    assert story[1].startswith(f"Random with the same total compute {said} reaches ")


def test_the_legend_says_what_the_order_rests_on_and_what_is_on_the_front(results: Any) -> None:
    legend = " ".join(equal_cost_legend(small(results)))
    assert "The order rests on one draw of random rows per entry" in legend
    assert "no plain random rows (random, full, random-tokens, random-compute) that cost less are better" in legend
    assert "Controls matched in lengths are no plain random rows and are left out" in legend


def test_the_site_has_the_line_beside_the_order_and_the_interval_under_the_pointer(
    results: Any, tmp_path: Path
) -> None:
    board = small(results)
    one = of(board, "one")
    vague = dataclasses.replace(one, break_even=dataclasses.replace(known(one), low=0.0, high=None))
    board = dataclasses.replace(board, rows=tuple(vague if each is one else each for each in board.rows))
    numbers = {column.name: number for number, column in enumerate(with_cost_columns(board), 1)}
    assert numbers["against the line"] in presets(board, with_cost_columns(board))[1].show
    index = site_files(board, results.folder, tmp_path / "out")["index.html"]
    assert re.search(r'title="95 %, taken alone: 0 to never"[^>]*>\?<', index)
    (column,) = [each for each in with_cost_columns(board) if each.name == "pays from"]
    assert [column.value(each) for each in board.rows if each.label == "one"] == [None]
    assert at_equal_compute(board, vague) is not None


def test_boards_from_before_the_line_was_told_are_read(results: Any) -> None:
    text = small(results).to_json()
    older = re.sub(r',\s*"random_(rows_low|rows_high|line|as_good)": [^,}\n]*', "", text)
    assert older != text
    board = Board.from_json(older, where="there")
    assert known(of(board, "one")).random_line is None
    assert above_line(board, of(board, "one")) is None
    assert "≤" not in pays_text(board, of(board, "one"))
    assert len(list(cost_story(board, of(board, "one")))) == 3
