"""A metric of which evaluators give a number and no items, in every form of a board."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sftbench.board.build import build_board
from sftbench.board.flat import board_csv
from sftbench.board.markdown import board_markdown
from sftbench.board.reading import read_cells
from sftbench.board.site.files import site_files
from sftbench.board.table import Board, BoardRow
from sftbench.board.terminal import board_lines
from sftbench.errors import UsageError

NUMBERS = {"good": (9.0, 9.1, 9.3), "fair": (11.0, 11.5, 12.5), "random": (12.0, 12.2, 12.1)}
SAYS = "perplexity is a number without a value per item"


def add(results: Any, label: str, numbers: tuple[float | None, ...], **about: Any) -> None:
    for seed, number in enumerate(numbers):
        evaluation = {"ids": [], "items": {}, "bigger_is_better": {"perplexity": False}}
        told = {"toy": {**evaluation, "numbers": {"perplexity": number}}}
        results.write(results.cell(label, seed=seed, evaluations=told, verdicts=None, **about))


def built(results: Any) -> Board:
    for label, numbers in NUMBERS.items():
        add(results, label, numbers)
    return build_board(results.folder)


def by_label(board: Board) -> dict[str, BoardRow]:
    return {row.label: row for row in board.rows}


def test_rows_are_ordered_and_compared_by_seed(results: Any) -> None:
    board = built(results)
    assert [row.label for row in board.rows] == ["good", "fair", "random"]
    assert board.num_items == {"perplexity": 0}
    for label, row in by_label(board).items():
        values = np.array(NUMBERS[label])
        half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
        found = row.metrics["perplexity"]
        assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    good, fair = by_label(board)["good"].against_baseline, by_label(board)["fair"].against_baseline
    assert good is not None
    assert fair is not None
    p = [stats.ttest_rel(NUMBERS[label], NUMBERS["random"]).pvalue for label in ("good", "fair")]
    assert p[0] < 0.025
    assert p[1] > 0.05
    assert (good.outcome, fair.outcome) == ("better", "equal")


def test_every_form_says_that_there_are_no_items(results: Any, tmp_path: Path) -> None:
    board = built(results)
    files = site_files(board, results.folder, tmp_path / "out")
    for text in (board_markdown(board), "\n".join(board_lines(board)), files["index.html"]):
        assert SAYS in text
    assert "perplexity a number without items" in board_markdown(board)
    assert "0 items" not in board_markdown(board)
    assert "<td>none" in files["rows/good.html"]
    assert Board.from_json(board.to_json(), where="here").to_json() == board.to_json()


def test_where_some_seeds_have_items_and_others_a_number_both_count_and_none_has_items(results: Any) -> None:
    add(results, "mixed", (0.25, 0.75))
    ids = ["a", "b"]
    items = {"ids": ids, "items": {"perplexity": [0.0, 1.0]}, "bigger_is_better": {"perplexity": False}}
    results.write(results.cell("mixed", seed=2, evaluations={"toy": items}, verdicts=None))
    found = by_label(build_board(results.folder))["mixed"].metrics["perplexity"]
    assert (found.mean, found.num_seeds, found.num_items) == (0.5, 3, 0)


def test_a_number_that_failed_is_told_and_in_no_mean(results: Any) -> None:
    add(results, "good", (1.0, None, 3.0))
    board = build_board(results.folder)
    found = by_label(board)["good"].metrics["perplexity"]
    assert (found.mean, found.num_seeds, found.num_failed_items) == (2.0, 2, 1)
    assert "Some seeds of perplexity have no value and are left out: good." in board.notes


def test_with_one_seed_there_is_no_interval_and_nobody_is_told_apart(results: Any) -> None:
    add(results, "good", (1.0,))
    add(results, "random", (2.0,))
    board = build_board(results.folder)
    assert [row.metrics["perplexity"].low for row in board.rows] == [None, None]
    assert [row.places for row in board.rows] == [(1, 2), (1, 2)]
    assert [row.against_baseline.outcome for row in board.rows if row.against_baseline] == ["equal"]
    assert any("no true difference to random would be told in 80 % of such runs" in note for note in board.notes)


def test_a_difference_larger_than_any_can_be_is_not_promised(results: Any) -> None:
    """Exact match lies between 0 and 1, and three seeds that differ so much tell nothing."""
    for label in ("one", "random"):
        for seed, skill in enumerate((0.0, 1.0, 0.5)):
            results.write(results.cell(label, seed=seed, skill=skill if label == "one" else 1 - skill, verdicts=None))
    board = build_board(results.folder)
    told = {each.metric: each.difference for each in board.detectable}
    assert told["exact-match"] is None
    assert (told["nll"] or 0) > 1
    assert any("no true difference to random on exact-match that is possible here" in note for note in board.notes)


def test_a_metric_with_items_beside_it_stays_as_it_is(results: Any) -> None:
    for label in ("a", "random"):
        results.add(label)
    before = by_label(build_board(results.folder))["a"].metrics["exact-match"]
    for path in results.folder.rglob("seed-*.json"):
        (cell,) = [each for each in read_cells(path.parent) if path.name == f"seed-{each.seed}.json"]
        assert cell.evaluations["exact-match"].numbers == {}
    for seed in range(3):
        path = next(results.folder.rglob(f"a/10pct/seed-{seed}.json"))
        text = path.read_text()
        extra = '"toy": {"ids": [], "items": {}, "numbers": {"x": 1.5}, "bigger_is_better": {"x": true}}, '
        path.write_text(text.replace('"evaluations": {', '"evaluations": {' + extra, 1))
    board = build_board(results.folder)
    assert by_label(board)["a"].metrics["exact-match"] == before
    assert board.sort_metric == "exact-match"


def test_a_number_that_is_a_metric_with_items_too_is_refused(results: Any) -> None:
    cell = results.cell("a")
    cell["evaluations"]["nll"]["numbers"] = {"nll": 1.0}
    results.write(cell)
    with pytest.raises(UsageError, match="do not name the same metrics"):
        build_board(results.folder)


def test_the_csv_has_places_and_planned_comparisons(results: Any) -> None:
    for label, skill in (("good", 0.8), ("fair", 0.5), ("random", 0.5)):
        results.add(label, skill=skill)
    results.add("lengths(good)", method="lengths", skill=0.4, kind="control", matched_to="good")
    board = build_board(results.folder)
    rows = {row["label"]: row for row in csv.DictReader(io.StringIO(board_csv(board)))}
    good, mine = rows["good"], by_label(board)["good"]
    assert mine.against_baseline is not None
    assert (good["rank_low"], good["rank_high"]) == ("1", "1")
    assert (rows["fair"]["rank_low"], rows["fair"]["rank_high"]) == ("2", "3")
    assert (good["baseline_control"], good["against_baseline_outcome"]) == ("random", "better")
    assert float(good["against_baseline"]) == pytest.approx(mine.against_baseline.difference.mean, rel=1e-5)
    assert good["against_matched.lengths_outcome"] == "better"
    assert rows["random"]["against_baseline"] == rows["lengths(good)"]["rank_low"] == ""
    told = next(each for each in board.detectable if each.metric == board.sort_metric)
    assert told.difference is not None
    assert float(rows["fair"]["against_baseline_detectable"]) == pytest.approx(told.difference, rel=1e-5)


def test_the_site_and_the_terminal_have_places_and_say_what_could_be_told(results: Any, tmp_path: Path) -> None:
    for label, skill in (("good", 0.8), ("fair", 0.5), ("random", 0.5)):
        results.add(label, skill=skill)
    board = build_board(results.folder)
    (says,) = [note for note in board.notes if "would be told in 80 % of such runs" in note]
    assert says.startswith("With 3 seeds and 120 items, a true difference to random of 0.")
    files = site_files(board, results.folder, tmp_path / "out")
    assert files["index.html"].count(says) == 1
    assert ">place, 95 %</button>" in files["index.html"]
    assert "<td data-v=2>2 to 3" in files["index.html"]
    assert "Place 1 (95 %: 1), tier 1" in files["rows/good.html"]
    assert "| place, 95 % |" in board_markdown(board)
    assert any("2 to 3" in line for line in board_lines(board))
