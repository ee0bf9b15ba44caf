"""The reader of cell files: whole cells only, and an error that says which file and why."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sftbench.board.reading import read_cell, read_cells
from sftbench.errors import UsageError


def test_a_cell_is_read_as_it_was_written(results: Any) -> None:
    written = results.cell("tshirt[mode=official]", seed=2)
    written["evaluations"]["nll"]["items"]["nll"][3] = None
    cell = read_cell(results.write(written))
    assert (cell.method, cell.label, cell.seed, cell.budget) == ("tshirt", "tshirt[mode=official]", 2, "10%")
    assert cell.selection is not None
    assert cell.selection.num_planted_rows == 18
    assert cell.evaluations["nll"].items["nll"][3] is None
    assert cell.cost["training"].flops == 1000


def changed(cell: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one entry set, its path given with dots."""
    result = copy.deepcopy(cell)
    *outer, last = path.split(".")
    inner = result
    for name in outer:
        inner = inner[name]
    inner[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", 2, "schema 2; this version reads 1"),
        ("schema", None, "schema None"),
        ("colour", "red", "colour"),
        ("seed", "0", "seed"),
        ("seed", 1.5, "seed"),
        ("kind", "other", "kind"),
        ("pool.num_rows", None, "pool.num_rows"),
        ("cost.training.flops", float("nan"), "cost.training.flops"),
        ("evaluations.nll.ids", ["a"], "120 values for 1 ids"),
        ("evaluations.nll.bigger_is_better", {}, "do not name the same metrics"),
        ("evaluations.nll.ids", ["a"] * 120, "an item id occurs twice"),
        ("verdicts.preference", [2.0] * 120, "outside 0..1"),
        ("verdicts.preference", [0.5], "1 preferences for 120 ids"),
        ("verdicts.ids", ["a"] * 120, "an item id occurs twice"),
        ("status", "failed", "failure is missing"),
        ("failure", {"step": "scores", "error": "E", "message": "m"}, "failure is given"),
    ],
)
def test_what_is_wrong_with_a_cell_is_named(results: Any, path: str, value: Any, message: str) -> None:
    file = results.write(changed(results.cell("random"), path, value))
    with pytest.raises(UsageError) as problem:
        read_cell(file)
    assert str(file) in str(problem.value)
    assert message in str(problem.value)


@pytest.mark.parametrize("keep", [0, 1, 100, -2])
def test_a_file_that_is_cut_off_is_refused(results: Any, keep: int) -> None:
    file = results.write(results.cell("random"))
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UsageError, match="cut off or not a result"):
        read_cell(file)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "\xff\xfe", "[" * 100_000])
def test_other_files_are_refused(results: Any, text: str) -> None:
    file = results.write(results.cell("random"))
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"cut off or not a result"):
        read_cell(file)


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="no results in"):
            read_cells(folder)


def test_two_files_for_one_cell_are_refused(results: Any) -> None:
    file = results.write(results.cell("random"))
    other = file.parent.parent / "copy" / file.name
    other.parent.mkdir()
    other.write_text(file.read_text())
    with pytest.raises(UsageError, match=r"are both random at 10%, seed 0"):
        read_cells(results.folder)


@pytest.mark.parametrize(("path", "what"), [("pool.key", "pool"), ("base.fingerprint", "base model")])
def test_cells_of_different_pools_or_base_models_do_not_share_a_board(results: Any, path: str, what: str) -> None:
    results.write(results.cell("random"))
    results.write(changed(results.cell("longest"), path, "another"))
    with pytest.raises(UsageError, match=f"another {what}"):
        read_cells(results.folder)


def test_half_written_neighbours_and_other_files_are_left_alone(results: Any) -> None:
    file = results.write(results.cell("random"))
    (file.parent / ".seed-0.json.ab12").write_text("{")
    (results.folder / "run.json").write_text(json.dumps({"schema": 1}))
    assert len(read_cells(results.folder)) == 1
