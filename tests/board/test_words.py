"""What boards say: of differences that could be told, in tables for reading, of budgets, questions and bounds."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sftbench.board.build import build_board
from sftbench.board.markdown import board_markdown
from sftbench.board.power_words import detectable_words, family_note
from sftbench.board.site.files import site_files
from sftbench.board.site.overview import overview_page
from sftbench.board.site.saying import headline, question
from sftbench.board.spread import Grid, take_apart
from sftbench.board.statistics import estimate_all
from sftbench.board.table import Board, DetectableDifference
from sftbench.board.terminal import board_lines
from sftbench.board.texts import signed
from sftbench.board.words import notes, notes_of
from sftbench.errors import UsageError


def contenders(results: Any, *budgets: str) -> None:
    for budget in budgets:
        for label, skill in (("good", 0.8), ("fair", 0.5)):
            results.add(label, skill=skill, budget=budget)
            results.add(
                f"random-tokens({label})", method="random-tokens", skill=0.5, budget=budget, kind="control",
                matched_to=label,
            )  # fmt: skip
        results.add("random", skill=0.5, budget=budget, kind="control")


def with_detectable(board: Board, **changes: Any) -> str:
    """What is said of the sort metric, with these facts of what could be told."""
    facts = DetectableDifference(
        budget=board.budgets[0], metric=board.sort_metric, control="random", difference=0.41, num_seeds=3,
        num_items=242, num_comparisons=64, with_training_noise=True, smallest=0.32, largest=None, room_below=0.48,
        room_above=0.52,
    )  # fmt: skip
    changed = dataclasses.replace(board, detectable=(dataclasses.replace(facts, **changes),))
    return detectable_words(changed, board.budgets[0])


def test_the_typical_entry_is_told_with_the_range_over_entries(results: Any) -> None:
    contenders(results, "10%")
    board = build_board(results.folder, num_resamples=40)
    assert with_detectable(board).startswith(
        "With 3 seeds and 242 items, a true difference to random of 0.41 on exact-match would be told in 80 % of such "
        "runs for the typical entry, a smaller one less often (over the entries: 0.32 to more than is possible)."
    )
    assert "(over the entries: 0.32 to 0.68)" not in with_detectable(board, largest=0.321)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"room_below": 0.22, "room_above": 0.78}, "Nothing can be worse than random by so much: there is room for"),
        (
            {"difference": None, "room_below": 0.22, "room_above": 0.78, "smallest": 0.47},
            "no true difference to random on exact-match that is possible here (0.22 down, 0.78 up) would be told in "
            "80 % of such runs for the typical entry; for the one that scatters least, 0.47 would.",
        ),
        ({"difference": None, "smallest": None}, "that is possible here (0.48 down, 0.52 up) would be told in 80 %"),
    ],
)  # fmt: skip
def test_a_difference_for_which_there_is_no_room_is_not_promised(
    results: Any, changes: dict[str, Any], said: str
) -> None:
    contenders(results, "10%")
    assert said in with_detectable(build_board(results.folder, num_resamples=40), **changes)


def test_what_is_possible_is_what_the_control_leaves_room_for(results: Any) -> None:
    """A noisy control near 0: the typical difference would have to be larger than from there to 1."""
    for label in ("one", "two", "random"):
        for seed, skill in enumerate((0.05, 0.1, 0.2)):
            results.write(results.cell(label, seed=seed, skill=skill))
    board = build_board(results.folder, num_resamples=40)
    (told,) = (each for each in board.detectable if each.metric == "exact-match")
    (random,) = (row for row in board.rows if row.label == "random")
    mean = random.metrics["exact-match"].mean
    assert (told.room_below, told.room_above) == (pytest.approx(mean), pytest.approx(1 - mean))
    for each in (told.difference, told.smallest, told.largest):
        assert each is None or each <= 1 - mean


def test_beside_seeds_that_would_tell_stand_the_odds(results: Any) -> None:
    results.add("random", skill=0.5, kind="control")
    for place in range(7):
        results.add(f"near-{place}", skill=0.45 + 0.02 * place)
    board = build_board(results.folder, num_resamples=40)
    wanting = [row for row in board.rows if row.against_baseline and row.against_baseline.seeds_to_tell]
    assert wanting
    assert "the odds of it are about even" in detectable_words(board, "10%")


def test_places_stand_in_the_tables_though_the_first_entry_has_none(results: Any) -> None:
    contenders(results, "10%")
    results.add("random-compute(good)", method="random-compute", skill=0.99, kind="control", matched_to="good")
    board = build_board(results.folder, num_resamples=40)
    assert board.rows[0].places is None
    assert "| place, 95 % |" in board_markdown(board)
    assert any("place, 95 %" in line for line in board_lines(board, matched=True))


def test_tables_for_reading_leave_matched_controls_out_and_say_where_they_are(results: Any) -> None:
    contenders(results, "10%")
    board = build_board(results.folder, num_resamples=40)
    page, lines = board_markdown(board), board_lines(board)
    tables = [line for line in page.splitlines() if line.startswith("|")] + [line for line in lines if "  " in line]
    assert not any("random-tokens(" in line for line in tables)
    assert any("against matched chance" in line for line in tables)
    assert "The 2 controls matched to methods are not in these tables" in page
    assert any("'--all' shows them here" in line for line in lines)
    whole = board_lines(board, matched=True)
    assert any("◦random-tokens(good)" in line for line in whole)
    assert not any("--all" in line for line in whole)


def test_notes_of_a_budget_stand_with_that_budget(results: Any, tmp_path: Path) -> None:
    contenders(results, "5%", "10%")
    board = build_board(results.folder, num_resamples=40)
    page = board_markdown(board)
    first, *budgets = re.split(r"^## Budget ", page.partition("## Legend")[0], flags=re.MULTILINE)
    for budget, section in zip(board.budgets, budgets, strict=True):
        others = [each for each in board.budgets if each != budget]
        assert section.startswith(f"{budget} (72 rows)")
        for note in notes_of(board, budget):
            assert note[:40] not in first
            assert note.replace("[", "\\[")[:40] in section.replace("\\", "") or note[:40] in section
        assert not any(f"At {other}, against" in section for other in others)
    assert set(notes(board)) <= set(board.notes)
    site = site_files(board, results.folder, tmp_path / "out")["index.html"]
    assert "Budget 5% (72 rows)</button>" in site
    caveats = site.partition("To know before trusting a number")[2].partition("How to read this")[0]
    assert "would be told" not in caveats
    assert site.count("would be told apart from the best") <= len(board.budgets)


def test_a_study_asks_its_own_question(results: Any, tmp_path: Path) -> None:
    contenders(results, "60")
    plain = build_board(results.folder, num_resamples=40)
    assert headline(plain) == "Which way of choosing training data is better?"
    about = "How much <may> be generated? From none to all."
    (results.folder / "study.json").write_text(json.dumps({"name": "x", "about": about}))
    board = build_board(results.folder, num_resamples=40)
    assert headline(board) == "How much <may> be generated?"
    assert question(board).startswith("From none to all. 2 ways of choosing training data had a budget of 60 rows")
    assert Board.from_json(board.to_json(), where="here") == Board.from_json(board.to_json(), where="here")
    assert json.loads(board.to_json())["study"] == about
    assert "study" not in json.loads(plain.to_json())
    page = site_files(board, results.folder, tmp_path / "out")["index.html"]
    assert "<h1>How much &lt;may&gt; be generated?</h1>" in page
    assert "at 60 rows" in page
    assert board_lines(board)[0] == about
    home = tmp_path / "boards" / "one"
    home.mkdir(parents=True)
    (home / "board.json").write_text(board.to_json())
    (home / "index.html").write_text("")
    assert "How much &lt;may&gt; be generated? From none" in overview_page(tmp_path / "boards")
    (results.folder / "study.json").write_text("{")
    with pytest.raises(UsageError, match=r"study\.json"):
        build_board(results.folder, num_resamples=40)


def test_the_lead_tells_generated_rows_and_what_controls_took(results: Any) -> None:
    contenders(results, "10%")
    for seed in range(3):
        cell = results.cell("full", seed=seed, kind="control", skill=0.5)
        cell["selection"]["num_rows"] = cell["pool"]["num_rows"]
        results.write(cell)
    board = build_board(results.folder, num_resamples=40)
    assert "2 ways of choosing training data had a budget of 10% (72 rows)" in question(board)
    assert question(board).endswith("Beside them 2 controls stand: full (all 720 rows) and random.")
    rows = tuple(
        dataclasses.replace(row, cost={**row.cost, "generating": row.cost["training"]}) if row.label == "good" else row
        for row in board.rows
    )
    assert "2 ways of choosing or generating training data" in question(dataclasses.replace(board, rows=rows))


def test_pages_of_entries_say_what_outcomes_are_corrected_for(results: Any, tmp_path: Path) -> None:
    contenders(results, "5%", "10%")
    board = build_board(results.folder, num_resamples=40)
    page = site_files(board, results.folder, tmp_path / "out")["rows/good.html"]
    assert page.count("(the interval is of this comparison alone; told apart is corrected for 4 comparisons)") == 2
    assert page.count("(corrected for 4 comparisons)") == 2


def test_zero_of_many_items_is_no_proof_that_there_is_none() -> None:
    """The bound at which none of n independent draws is seen with a chance of 5 %."""
    none = Grid(seeds=(0,), values=np.zeros((1, 242)))
    every = Grid(seeds=(0, 1, 2), values=np.ones((3, 50)))
    for grid, num_items in ((none, 242), (every, 50)):
        spread = take_apart(grid)
        assert spread is not None
        (found,) = estimate_all([spread], None, key="x", bounds=(0.0, 1.0), num_resamples=50)
        assert found.low is not None
        assert found.high is not None
        far = found.high if found.mean == 0 else 1 - found.low
        assert stats.binom.pmf(0, num_items, far) == pytest.approx(0.05)
        assert found.mean in (found.low, found.high)
    spread = take_apart(none)
    assert spread is not None
    (free,) = estimate_all([spread], None, key="x", num_resamples=50)
    assert (free.low, free.high) == (0, 0)


@pytest.mark.parametrize(
    ("value", "text"), [(-0.001, "+0.00"), (0.0, "+0.00"), (-0.0, "+0.00"), (-0.006, "-0.01"), (0.3, "+0.30")]
)
def test_nothing_has_no_minus(value: float, text: str) -> None:
    assert signed(value, 2) == text


def test_a_comparison_that_stands_alone_needs_no_word_of_a_family() -> None:
    assert family_note(1) == family_note(None) == ""
    assert "corrected for 64 comparisons" in family_note(64)
