"""Every ranked row against the one called random: a planned family, told before anything else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench.board.build import build_board
from sftbench.board.entries import Entry, gather
from sftbench.board.markdown import board_markdown
from sftbench.board.noise import two_sided_p
from sftbench.board.ranking import Measurements
from sftbench.board.reading import read_cells
from sftbench.board.site.files import site_files
from sftbench.board.site.saying import findings
from sftbench.board.spread import subtract
from sftbench.board.statistics import moderated
from sftbench.board.table import Board, BoardRow
from sftbench.board.terminal import board_lines
from sftbench.board.texts import decimals, interval

SKILLS = {"good": 0.8, "fair": 0.5, "poor": 0.2}
SAYS = "Against random at 10%: better: good; worse: poor; the others cannot be told apart from it."


def contenders(results: Any) -> None:
    for label, skill in SKILLS.items():
        results.add(label, skill=skill)
    results.add("random", skill=0.5, kind="control")


def by_label(board: Board) -> dict[str, BoardRow]:
    return {row.label: row for row in board.rows}


def outcomes(board: Board) -> dict[str, str | None]:
    return {row.label: row.against_baseline.outcome if row.against_baseline else None for row in board.rows}


@pytest.mark.parametrize("sort_metric", ["exact-match", "nll", "win-rate"])
def test_a_row_is_better_or_worse_than_random_or_equal(results: Any, sort_metric: str) -> None:
    contenders(results)
    board = build_board(results.folder, sort_metric=sort_metric)
    rows = by_label(board)
    if sort_metric != "win-rate":
        assert outcomes(board) == {"good": "better", "fair": "equal", "poor": "worse", "random": None}
    for label in SKILLS:
        found = rows[label].against_baseline
        assert found is not None
        means = [
            (row.win_rate if sort_metric == "win-rate" else row.metrics[sort_metric])
            for row in (rows[label], rows["random"])
        ]
        assert found.control == "random"
        assert found.difference.mean == pytest.approx(means[0].mean - means[1].mean)


def test_the_family_is_these_comparisons_and_no_others(results: Any) -> None:
    """Holm's step-down by hand over the p of each row against random, with the noise of the contenders."""
    for index, skill in enumerate(np.linspace(0.38, 0.62, 9)):
        results.add(f"method-{index}", skill=float(skill))
    results.add("random", skill=0.5, kind="control")
    results.add("random-tokens(method-8)", method="random-tokens", skill=0.9, kind="control", matched_to="method-8")
    entries: list[Entry] = gather(read_cells(results.folder))
    measured = Measurements.of(entries, "exact-match", bigger_is_better=True, baseline="random")
    labels = [entry.first.label for entry in entries]
    reference = measured.grids[labels.index("random")]
    assert reference is not None
    p = {}
    for label, grid in zip(labels, measured.grids, strict=True):
        if label.startswith("method-") and grid is not None and (difference := subtract(grid, reference)) is not None:
            (variance,), (freedom,) = moderated([difference], measured.noise_of_contenders)
            values = (difference.mean, variance, freedom, difference.item_variance)
            p[label] = float(two_sided_p(*(np.array([each]) for each in values))[0])
    ordered, apart = sorted(p, key=lambda label: p[label]), set()
    for place, label in enumerate(ordered):
        if p[label] * (len(ordered) - place) > 0.05:
            break
        apart.add(label)
    assert 0 < len(apart) < len(p) == 9
    found = outcomes(build_board(results.folder))
    assert {label for label, outcome in found.items() if outcome in ("better", "worse")} == apart
    assert found["random"] is found["random-tokens(method-8)"] is None


def test_what_is_matched_to_a_method_changes_nothing(results: Any) -> None:
    contenders(results)
    alone = by_label(build_board(results.folder))
    for label in SKILLS:
        results.add(f"lengths({label})", method="lengths", skill=0.9, kind="control", matched_to=label)
    together = by_label(build_board(results.folder))
    for label in SKILLS:
        one, other = alone[label].against_baseline, together[label].against_baseline
        assert one is not None
        assert one == other


def test_it_is_said_first_and_stands_in_every_form(results: Any, tmp_path: Path) -> None:
    contenders(results)
    board = build_board(results.folder)
    assert board.notes[0] == SAYS
    assert any("against random" in line and "against matched" not in line for line in board_lines(board))
    differences = [row.against_baseline.difference for row in board.rows if row.against_baseline]
    best = by_label(board)["good"].against_baseline
    assert best is not None
    told = f"better {best.difference.mean:+.{decimals(differences, 'exact-match')}f}"
    assert told in "\n".join(board_lines(board))
    page = board_markdown(board)
    assert "| against random |" in page
    assert f"| {told} |" in page
    files = site_files(board, results.folder, tmp_path / "out")
    first = files["index.html"].partition("<ul class=said>")[2].partition("</li>")[0]
    assert SAYS in first
    assert files["index.html"].count(SAYS) == 1
    assert ">vs random</button>" in files["index.html"]
    alone = "(the interval is of this comparison alone; told apart is corrected for 3 comparisons)"
    assert f"Against <bdi>random</bdi>: better {interval(best.difference, 3)} {alone}." in files["rows/good.html"]
    assert "<pre>" not in files["rows/good.html"]
    assert Board.from_json(board.to_json(), where="here").to_json() == board.to_json()


def test_without_a_row_called_random_it_is_what_win_rates_are_against(results: Any) -> None:
    for label in ("good", "fair"):
        results.add(label, skill=SKILLS[label], verdicts=None)
    told = results.cell("poor", skill=0.2)
    told["verdicts"]["baseline"] = "fair"
    results.write(told)
    board = build_board(results.folder, sort_metric="exact-match")
    assert outcomes(board) == {"good": "better", "fair": None, "poor": "worse"}
    assert board.notes[0].startswith("Against fair at 10%: better: good; worse: poor.")


def test_without_either_nobody_names_it(results: Any) -> None:
    for label, skill in SKILLS.items():
        results.add(label, skill=skill, verdicts=None)
    board = build_board(results.folder)
    assert all("against_baseline" not in row for row in json.loads(board.to_json())["rows"])
    assert "gainst" not in board_markdown(board).replace("against one", "")


def test_random_that_failed_is_compared_with_nobody(results: Any) -> None:
    results.add("good", skill=0.8, verdicts=None)
    results.fail("random", seed=0)
    assert outcomes(build_board(results.folder)) == {"good": None, "random": None}


def test_where_nobody_differs_the_sentence_says_so(results: Any) -> None:
    results.add("fair", skill=0.5)
    results.add("random", skill=0.5, kind="control")
    assert build_board(results.folder).notes[0] == "Against random at 10%: nobody can be told apart from it."


@pytest.mark.parametrize("outcome", ["better", "equal"])
def test_the_site_does_not_deny_what_the_planned_comparison_shows(results: Any, outcome: Any) -> None:
    results.add("fair", skill=0.52)
    results.add("random", skill=0.5, kind="control")
    board = build_board(results.folder)
    first, second = (dataclasses.replace(row, tied_with_best=True) for row in board.rows)
    if first.label == "random":
        first, second = second, first
    assert first.against_baseline is not None
    first = dataclasses.replace(first, against_baseline=dataclasses.replace(first.against_baseline, outcome=outcome))
    found = findings(dataclasses.replace(board, rows=(first, dataclasses.replace(second, is_baseline=True))), "10%")
    assert found.baseline_is_among_the_best is (outcome == "equal")
