"""Scores without the held-out items that stand in what was trained on: by hand, and only where there are any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench.board.build import build_board
from sftbench.board.flat import board_records
from sftbench.board.markdown import board_markdown
from sftbench.board.site.files import site_files
from sftbench.board.table import Board, BoardRow
from sftbench.board.terminal import board_lines
from sftbench.board.texts import decimals, interval

METRICS = ("exact-match", "nll")


def hits(*items: int) -> dict[str, Any]:
    ids = [f"item-{item}" for item in items]
    return {"key": "contamination/k", "num_words": 13, "cosine": None, "num_rows": len(items), "ids": ids}


def fill(results: Any, *, leaking: tuple[tuple[int, ...], ...] = ((0, 1), (1, 2, 3), ())) -> dict[str, list[Any]]:
    """Three methods over three seeds; `leaky` has rows of these items under each seed, `sly` always of item 7."""
    cells: dict[str, list[Any]] = {}
    for label, skill in (("leaky", 0.6), ("sly", 0.5), ("clean", 0.4)):
        for seed in range(3):
            found = {"leaky": leaking[seed], "sly": (7,) if leaking[0] else (), "clean": ()}[label]
            cell = results.cell(label, seed=seed, skill=skill, **({"hits": hits(*found)} if found else {}))
            results.write(cell)
            cells.setdefault(label, []).append(cell)
    return cells


def mean_without(cells: list[Any], metric: str, left_out: set[int]) -> float:
    """The mean over seeds of the mean over the items that are kept."""
    kept = [item for item in range(120) if item not in left_out]
    tables = [cell["evaluations"][metric]["items"][metric] for cell in cells]
    return float(np.mean([np.mean([table[item] for item in kept]) for table in tables]))


def by_label(board: Board) -> dict[str, BoardRow]:
    return {row.label: row for row in board.rows}


def test_every_metric_comes_again_without_what_was_hit(results: Any) -> None:
    cells = fill(results)
    rows = by_label(build_board(results.folder))
    own = {"leaky": {0, 1, 2, 3}, "sly": {7}, "clean": set[int]()}
    anyone = {0, 1, 2, 3, 7}
    for label, row in rows.items():
        without = row.without_hits
        assert without is not None
        assert (without.num_own, without.num_any) == (len(own[label]), 5)
        for metric in METRICS:
            assert without.common[metric].mean == pytest.approx(mean_without(cells[label], metric, anyone))
            assert (without.common[metric].num_items, without.common[metric].num_failed_items) == (115, 0)
            if own[label]:
                assert without.own[metric].mean == pytest.approx(mean_without(cells[label], metric, own[label]))
                assert without.own[metric].num_items == 120 - len(own[label])
                assert without.own[metric].num_failed_items == 0
        preferences = [cell["verdicts"]["preference"] for cell in cells[label]]
        kept = [item for item in range(120) if item not in anyone]
        win_rate = float(np.mean([[100 * each[item] for item in kept] for each in preferences]))
        assert without.common["win-rate"].mean == pytest.approx(win_rate)
    assert rows["clean"].without_hits.own == {}  # type: ignore[union-attr]


def test_the_scores_with_all_items_stay_what_they_are(results: Any, new_results: Any) -> None:
    fill(results)
    clean = new_results("clean")
    fill(clean, leaking=((), (), ()))
    with_hits, without = (json.loads(build_board(each.folder).to_json()) for each in (results, clean))
    assert all("without_hits" in row for row in with_hits["rows"])
    assert not any("without_hits" in row for row in without["rows"])
    for row in with_hits["rows"]:
        del row["without_hits"]
    stripped = [{name: value for name, value in row.items() if name != "cost"} for row in with_hits["rows"]]
    others = [{name: value for name, value in row.items() if name != "cost"} for row in without["rows"]]
    assert stripped == others


def test_an_item_that_failed_is_still_counted_as_failed(results: Any) -> None:
    cells = fill(results)
    for cell in cells["leaky"]:
        cell["evaluations"]["nll"]["items"]["nll"][50] = None
        cell["evaluations"]["nll"]["items"]["nll"][0] = None
        results.write(cell)
    without = by_label(build_board(results.folder))["leaky"].without_hits
    assert without is not None
    assert without.own["nll"].num_failed_items == without.common["nll"].num_failed_items == 3


def test_a_board_tells_who_hit_what_in_all_its_forms(results: Any) -> None:
    fill(results)
    board = build_board(results.folder)
    assert Board.from_json(board.to_json(), where="here").to_json() == board.to_json()
    note = "5 held-out items stand, in whole or in part, in rows that were trained on by leaky and sly"
    assert any(note in each for each in board.notes)
    for text in (board_markdown(board), "\n".join(board_lines(board))):
        assert "items hit" in text
        assert "exact-match without items hit" in text
    records = {record["label"]: record for record in board_records(board)}
    assert [records[label]["items_hit"] for label in ("leaky", "sly", "clean")] == [4, 1, 0]
    assert records["clean"]["nll_without_hits"] is not None


def test_other_budgets_are_left_alone(results: Any) -> None:
    fill(results)
    results.add("clean", budget="20%")
    results.add("leaky", budget="20%")
    rows = build_board(results.folder).of("20%")
    assert [row.without_hits for row in rows] == [None, None]


def test_all_items_hit_leave_nothing_to_measure(results: Any) -> None:
    fill(results, leaking=(tuple(range(120)), (), ()))
    without = by_label(build_board(results.folder))["leaky"].without_hits
    assert without is not None
    assert (without.num_own, without.own, without.common) == (120, {}, {})


def test_a_metric_with_items_of_its_own_loses_those_of_its_own_that_are_hit(results: Any) -> None:
    """`short` has three items of its own, of which the second is hit; the others are item-0 to item-119."""
    values = {
        ("leaky", 0): [0.0, 1.0, 0.5],
        ("leaky", 1): [1.0, 1.0, 0.0],
        ("clean", 0): [1, 0, 0],
        ("clean", 1): [1, 0, 1],
    }
    for (label, seed), short in values.items():
        cell = results.cell(label, seed=seed, **({"hits": hits(3) | {"ids": ["own-1", "item-3"]}} if seed else {}))
        cell["evaluations"]["tasks"] = {
            "ids": [f"item-{item}" for item in range(120)],
            "items": {"short": [float(each) for each in short], "whole": [1.0] * 120},
            "bigger_is_better": {"short": True, "whole": True},
            "ids_of": {"short": ["own-0", "own-1", "own-2"]},
        }
        results.write(cell)
    rows = by_label(build_board(results.folder))
    for label, (with_hits, without) in {"leaky": ((3.5 / 6), 1.5 / 4), "clean": (0.5, 3 / 4)}.items():
        found = rows[label].without_hits
        assert found is not None
        assert rows[label].metrics["short"].mean == pytest.approx(with_hits)
        assert (found.common["short"].mean, found.common["short"].num_items) == (pytest.approx(without), 2)
        assert found.common["whole"].num_items == 119


def test_the_site_has_items_hit_in_the_table_and_on_the_page_of_the_row(results: Any, tmp_path: Path) -> None:
    fill(results)
    board = build_board(results.folder)
    files = site_files(board, results.folder, tmp_path / "out")
    row = by_label(board)["leaky"]
    assert row.without_hits is not None
    common, own = row.without_hits.common["exact-match"], row.without_hits.own["exact-match"]
    assert ">items hit</button>" in files["index.html"]
    assert ">exact-match without items hit</button>" in files["index.html"]
    digits = decimals([each.metrics["exact-match"] for each in board.rows], "exact-match")
    assert f"{common.mean:.{digits}f} <small>{common.low:.{digits}f}" in files["index.html"]
    page = files["rows/leaky.html"]
    assert "something of 4 held-out items; those of all rows of the budget, of 5." in page
    assert interval(common, digits) in page
    assert interval(own, digits) in page
    assert "<pre>" not in page
