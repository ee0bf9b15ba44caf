"""Controls matched to a method: compared with that method alone, and no burden to the comparison of all others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sftbench.board.build import build_board
from sftbench.board.markdown import board_markdown
from sftbench.board.table import Board, BoardRow

SKILLS = {"good": 0.8, "fair": 0.5, "poor": 0.2}


def contenders(results: Any) -> None:
    for label, skill in SKILLS.items():
        results.add(label, skill=skill)
    results.add("random", skill=0.5, kind="control")


def match(results: Any, label: str, *, skill: float, control: str = "random-tokens") -> None:
    results.add(f"{control}({label})", method=control, skill=skill, kind="control", matched_to=label)


def by_label(board: Board) -> dict[str, BoardRow]:
    return {row.label: row for row in board.rows}


@pytest.mark.parametrize("sort_metric", ["exact-match", "nll"])
def test_a_method_is_better_or_worse_than_what_is_matched_to_it_or_equal(results: Any, sort_metric: str) -> None:
    contenders(results)
    for label in SKILLS:
        match(results, label, skill=0.5)
    rows = by_label(build_board(results.folder, sort_metric=sort_metric))
    outcomes = {label: [each.outcome for each in rows[label].against_matched] for label in (*SKILLS, "random")}
    assert outcomes == {"good": ["better"], "fair": ["equal"], "poor": ["worse"], "random": []}
    (found,) = rows["good"].against_matched
    means = [rows[label].metrics[sort_metric].mean for label in ("good", "random-tokens(good)")]
    assert found.control == "random-tokens"
    assert found.difference.mean == pytest.approx(means[0] - means[1])


def test_matched_controls_have_no_place_and_change_nobody_elses(results: Any) -> None:
    contenders(results)
    alone = by_label(build_board(results.folder))
    for label in SKILLS:
        for control in ("random-tokens", "random-lengths", "random-compute"):
            match(results, label, skill=0.95, control=control)
    together = by_label(build_board(results.folder))
    for label, row in alone.items():
        beside = together[label]
        assert (row.rank, row.tier, row.tied_with_best) == (beside.rank, beside.tier, beside.tied_with_best)
        mean, other = (each.behind_best.mean if each.behind_best else None for each in (row, beside))
        assert mean == other
    matched = [row for row in together.values() if row.matched_to]
    assert len(matched) == 9
    assert {(row.rank, row.tier, row.tied_with_best, row.behind_best) for row in matched} == {(None, None, False, None)}
    assert build_board(results.folder).rows[0].matched_to is not None


def test_the_page_says_in_words_who_beats_matched_chance(results: Any) -> None:
    contenders(results)
    match(results, "good", skill=0.5)
    match(results, "poor", skill=0.5)
    match(results, "fair", skill=0.5)
    board = build_board(results.folder)
    (note,) = [note for note in board.notes if "matched to each" in note]
    assert note == (
        "At 10%, against random-tokens (matched to each method): better: good; worse: poor; "
        "1 cannot be told apart from it."
    )
    page = board_markdown(board)
    assert "against matched chance" in page
    assert "tokens better +0." in page
    assert Board.from_json(board.to_json(), where="here").to_json() == board.to_json()


def test_a_row_to_which_nothing_is_matched_does_not_name_it(results: Any) -> None:
    contenders(results)
    rows = json.loads(build_board(results.folder).to_json())["rows"]
    assert all("against_matched" not in row for row in rows)
    assert "against matched chance" not in board_markdown(build_board(results.folder))


def test_what_is_matched_to_a_method_that_failed_is_compared_with_nobody(results: Any) -> None:
    contenders(results)
    results.fail("broken", seed=0)
    match(results, "broken", skill=0.5)
    rows = by_label(build_board(results.folder))
    assert rows["broken"].against_matched == ()
    assert rows["random-tokens(broken)"].rank is None
