"""The board as data: order, shares, costs, failures, missing seeds and items, and that bytes come out the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench.board.build import build_board
from sftbench.board.render import board_csv, board_frame, board_markdown, load_board, read_board, write_board
from sftbench.board.table import Board, BoardRow, strip_measured
from sftbench.errors import UsageError


def row_of(board: Board, label: str, budget: str = "10%") -> BoardRow:
    (row,) = (each for each in board.of(budget) if each.label == label)
    return row


def standard(results: Any) -> None:
    """Two methods and two controls, the random one judged against."""
    results.add("good", skill=0.8)
    results.add("fair", skill=0.5)
    results.add("random", skill=0.45, kind="control", verdicts=None)
    results.add("base", skill=0.1, kind="control", seeds=range(1), selection=None)


def test_rows_are_ranked_by_exact_match_and_controls_with_them(results: Any) -> None:
    standard(results)
    board = build_board(results.folder)
    assert board.sort_metric == "exact-match"
    assert [row.label for row in board.rows] == ["good", "fair", "random", "base"]
    assert [row.rank for row in board.rows] == [1, 2, 3, 4]
    assert [row.label for row in board.rows if row.tied_with_best] == ["good"]
    assert row_of(board, "random").is_baseline
    assert row_of(board, "base").seeds_missing == ()


def test_the_mean_of_a_row_is_that_of_its_items(results: Any) -> None:
    cells = [results.cell("one", seed=seed) for seed in range(3)]
    for cell in cells:
        results.write(cell)
    row = row_of(build_board(results.folder), "one")
    for name in ("exact-match", "nll"):
        by_hand = np.mean([cell["evaluations"][name]["items"][name] for cell in cells])
        assert row.metrics[name].mean == pytest.approx(by_hand)
    assert row.win_rate is not None
    assert row.win_rate.mean == pytest.approx(100 * np.mean([cell["verdicts"]["preference"] for cell in cells]))


def test_another_sort_metric_may_be_asked_for_and_an_unknown_one_is_refused(results: Any) -> None:
    standard(results)
    by_nll = build_board(results.folder, sort_metric="nll")
    means = [row.metrics["nll"].mean for row in by_nll.rows]
    assert means == sorted(means)
    assert by_nll.bigger_is_better["nll"] is False
    with pytest.raises(UsageError, match="did you mean 'nll'"):
        build_board(results.folder, sort_metric="nlll")


def test_without_exact_match_the_win_rate_orders_and_random_stands_at_fifty(results: Any) -> None:
    for label, skill in (("good", 0.9), ("bad", 0.2)):
        for seed in range(3):
            cell = results.cell(label, seed=seed, skill=skill)
            del cell["evaluations"]["exact-match"]
            results.write(cell)
    for seed in range(3):
        cell = results.cell("random", seed=seed, kind="control", verdicts=None)
        del cell["evaluations"]["exact-match"]
        results.write(cell)
    board = build_board(results.folder)
    assert board.sort_metric == "win-rate"
    assert [row.label for row in board.rows] == ["good", "random", "bad"]
    assert [row.tier for row in board.rows] == [1, 2, 3]
    assert row_of(board, "random").win_rate is not None
    assert row_of(board, "random").win_rate.mean == 50  # type: ignore[union-attr]


def test_planted_shares_count_what_is_trained(results: Any) -> None:
    results.add("one")
    training = row_of(build_board(results.folder), "one").training
    assert training is not None
    assert training.trained_tokens == 2500
    assert training.planted_row_share == 18 / 72
    assert training.planted_rows_let_in == 18 / 72
    assert training.planted_token_share == pytest.approx(1000 / 2500)
    assert training.planted_tokens_let_in == 1000 / 4000


def test_a_pool_without_planted_rows_has_no_shares(results: Any) -> None:
    for seed in range(2):
        cell = results.cell("one", seed=seed)
        cell["pool"] |= {"num_planted": 0, "num_planted_tokens": 0}
        cell["selection"] |= {"num_planted_rows": 0, "num_planted_tokens": 0}
        results.write(cell)
    board = build_board(results.folder)
    training = row_of(board, "one").training
    assert training is not None
    assert training.planted_row_share is None
    assert "none of them planted with defects" in board_markdown(board)
    assert "planted rows" not in board_markdown(board)


def test_costs_are_means_over_seeds_and_memory_is_the_largest_peak(results: Any) -> None:
    for seed in range(2):
        cell = results.cell("one", seed=seed)
        cell["cost"]["training"] |= {"flops": 100.0 * (seed + 1), "peak_memory_bytes": 7.0 + seed}
        results.write(cell)
    cost = row_of(build_board(results.folder), "one").cost["training"]
    assert (cost.flops, cost.peak_memory_bytes) == (150.0, 8.0)


def test_failed_seeds_are_shown_and_in_no_mean(results: Any) -> None:
    standard(results)
    alone = results.cell("shaky", seed=0, skill=0.6)
    results.write(alone)
    for seed in (1, 2):
        results.fail("shaky", seed=seed)
    for seed in range(3):
        results.fail("broken", seed=seed, message="no row could be scored")
    board = build_board(results.folder)
    shaky, broken = row_of(board, "shaky"), row_of(board, "broken")
    assert (shaky.status, shaky.seeds_done, shaky.seeds_failed) == ("partial", (0,), (1, 2))
    assert shaky.metrics["exact-match"].mean == pytest.approx(
        np.mean(alone["evaluations"]["exact-match"]["items"]["exact-match"])
    )
    assert (broken.status, broken.rank, broken.tier, broken.metrics) == ("failed", None, None, {})
    assert board.rows[-1] is broken
    assert broken.failures[0].message == "no row could be scored"
    page = board_markdown(board)
    assert "broken at 10%, seeds 0, 1, 2: scores: ValueError: no row could be scored" in page
    assert any("5 cells failed" in note for note in board.notes)


def test_a_diversity_that_could_not_be_measured_is_told_of_a_row_that_stands(results: Any) -> None:
    failure = {"step": "diversity of response", "error": "ValueError", "message": "no token"}
    results.add("one", skill=0.5)
    results.add("other", skill=0.7, undescribed={"response": failure})
    board = build_board(results.folder)
    other = row_of(board, "other")
    assert (other.rank, other.status, len(other.undescribed)) == (1, "done", 3)
    assert any(note.endswith("could not be measured (see failures): other.") for note in board.notes)
    assert "other at 10%, seeds 0, 1, 2: diversity of response: ValueError: no token" in board_markdown(board)
    told = {row["label"]: row for row in json.loads(board.to_json())["rows"]}
    assert [row["seed"] for row in told["other"]["undescribed"]] == [0, 1, 2]
    assert "undescribed" not in told["one"]
    assert Board.from_json(board.to_json(), where="here").to_json() == board.to_json()


def test_numbers_of_a_failed_cell_are_not_used_even_if_there_are_some(results: Any) -> None:
    results.add("one", skill=0.5)
    before = row_of(build_board(results.folder), "one").metrics
    failure = {"step": "verdicts", "error": "E", "message": "m"}
    results.write(results.cell("one", seed=9, skill=1.0, status="failed", failure=failure))
    assert row_of(build_board(results.folder), "one").metrics["nll"].mean == before["nll"].mean


def test_a_board_on_which_everything_failed_can_be_shown(results: Any) -> None:
    results.fail("broken", seed=0)
    board = build_board(results.folder)
    assert [row.rank for row in board.rows] == [None]
    assert "no entry could be ranked" in board_markdown(board)


def test_a_missing_seed_is_told_and_the_rest_counts(results: Any) -> None:
    standard(results)
    results.add("late", seeds=range(2), skill=0.6)
    board = build_board(results.folder)
    late = row_of(board, "late")
    assert (late.status, late.seeds_missing, late.rank) == ("partial", (2,), 2)
    assert any(note.startswith("Seeds without a result yet: late") for note in board.notes)


def test_one_seed_is_said_to_know_nothing_of_training_noise(results: Any) -> None:
    for label in ("a", "b", "c"):
        results.add(label, seeds=range(1))
    board = build_board(results.folder)
    assert "One seed: intervals and ties do not include training noise." in board.notes


def test_failed_items_are_left_out_of_the_mean_and_told(results: Any) -> None:
    cell = results.cell("holes")
    values = cell["evaluations"]["nll"]["items"]["nll"]
    values[5] = None
    cell["verdicts"]["preference"] = [None] * len(values)
    results.write(cell)
    board = build_board(results.folder)
    row = row_of(board, "holes")
    assert row.metrics["nll"].mean == pytest.approx(np.mean([value for value in values if value is not None]))
    assert row.metrics["nll"].num_failed_items == 1
    assert row.win_rate is None
    assert any("nll have no value" in note for note in board.notes)


def test_a_board_says_whose_flops_are_not_all_there(results: Any) -> None:
    results.add("plain")
    assert not any("endpoint" in note for note in build_board(results.folder).notes)
    results.add("rated", asked=["m"])
    results.add("random-compute(rated)", matched_to="rated")
    board = build_board(results.folder)
    (note,) = [note for note in board.notes if "endpoint" in note]
    assert "(m)" in note
    assert "a control matched in compute" in note
    assert note.endswith(": rated.")
    told = {row["label"]: row.get("asked") for row in json.loads(board.to_json())["rows"]}
    assert told == {"plain": None, "rated": ["m"], "random-compute(rated)": None}
    assert Board.from_json(board.to_json(), where="here").rows[0].asked == board.rows[0].asked


def test_items_are_matched_by_id_whatever_their_order(results: Any) -> None:
    first, second = results.cell("a"), results.cell("b")
    evaluation = json.loads(json.dumps(first["evaluations"]))
    for metrics in evaluation.values():
        metrics["ids"].reverse()
        for values in metrics["items"].values():
            values.reverse()
    results.write(first)
    results.write({**second, "evaluations": evaluation})
    difference = row_of(build_board(results.folder), "b").behind_best
    assert difference is not None
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_budgets_are_grouped_in_order_of_size_and_ranked_apart(results: Any) -> None:
    for budget in ("100%", "5%", "20%"):
        results.add("a", budget=budget, skill=0.9)
        results.add("b", budget=budget, skill=0.1)
    board = build_board(results.folder)
    assert board.budgets == ("5%", "20%", "100%")
    assert [(row.budget, row.label, row.rank) for row in board.rows] == [
        (budget, label, rank) for budget in board.budgets for label, rank in (("a", 1), ("b", 2))
    ]


def test_the_same_metric_of_two_evaluators_is_told_apart(results: Any) -> None:
    cell = results.cell("one")
    cell["evaluations"]["other"] = cell["evaluations"]["nll"]
    results.write(cell)
    assert set(build_board(results.folder).bigger_is_better) == {"exact-match", "nll.nll", "other.nll", "win-rate"}


def test_a_metric_that_is_better_both_ways_is_refused(results: Any) -> None:
    results.write(results.cell("one"))
    cell = results.cell("two")
    cell["evaluations"]["nll"]["bigger_is_better"] = {"nll": True}
    results.write(cell)
    with pytest.raises(UsageError, match="bigger is better for 'nll' in some results"):
        build_board(results.folder)


def test_win_rates_of_two_judges_do_not_share_a_board(results: Any) -> None:
    results.write(results.cell("one"))
    cell = results.cell("two")
    cell["verdicts"]["judge"] = "somebody else"
    results.write(cell)
    with pytest.raises(UsageError, match="cannot share a board"):
        build_board(results.folder)


def test_the_same_records_give_the_same_bytes_wherever_they_lie(results: Any, tmp_path: Path) -> None:
    standard(results)
    results.fail("broken", seed=0)
    shutil.copytree(results.folder, tmp_path / "elsewhere" / "renamed")
    for source, out in ((results.folder, "out-1"), (tmp_path / "elsewhere" / "renamed", "out-2")):
        write_board(build_board(source), tmp_path / out)
    for name in ("README.md", "board.csv", "board.json"):
        assert (tmp_path / "out-1" / name).read_bytes() == (tmp_path / "out-2" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "out-1").iterdir()) == ["README.md", "board.csv", "board.json"]


def test_runs_that_differ_only_in_what_was_measured_agree_when_that_is_left_out(
    results: Any, new_results: Callable[[str], Any]
) -> None:
    standard(results)
    slower = new_results("slower")
    for path in results.folder.rglob("seed-*.json"):
        cell = json.loads(path.read_text())
        for spent in cell["cost"].values():
            spent |= {"wall_seconds": 77.0, "device_seconds": 99.0, "peak_memory_bytes": 5e9}
        slower.write(cell)
    fast, slow = build_board(results.folder), build_board(slower.folder)
    assert fast.to_json() != slow.to_json()
    assert strip_measured(json.loads(fast.to_json())) == strip_measured(json.loads(slow.to_json()))
    first, second = (board_markdown(board).partition("## Measured") for board in (fast, slow))
    assert first[0] == second[0]
    assert first[2] != second[2]
    assert "device_seconds" not in json.dumps(strip_measured(json.loads(fast.to_json())))


def test_measured_columns_come_last_in_csv(results: Any) -> None:
    standard(results)
    columns = board_csv(build_board(results.folder)).splitlines()[0].split(",")
    measured = [column.endswith(("_seconds", "_bytes")) for column in columns]
    assert any(measured)
    assert measured == sorted(measured)


def test_a_board_is_read_back_as_it_was_written(results: Any, tmp_path: Path) -> None:
    standard(results)
    results.fail("broken", seed=0)
    board = build_board(results.folder)
    write_board(board, tmp_path / "out")
    again = read_board(tmp_path / "out")
    assert again.to_json() == board.to_json()
    for path in (tmp_path / "out", tmp_path / "out" / "board.json", results.folder):
        assert board_frame(board).equals(load_board(path))
    (tmp_path / "out" / "board.json").write_text('{"schema": 3}')
    with pytest.raises(UsageError, match="not a board of this version"):
        read_board(tmp_path / "out")
    with pytest.raises(UsageError, match="no board at"):
        read_board(tmp_path / "nowhere.json")


def test_the_frame_has_a_line_per_row_and_typed_columns(results: Any) -> None:
    standard(results)
    frame = board_frame(build_board(results.folder))
    assert list(frame["label"]) == ["good", "fair", "random", "base"]
    assert frame["exact_match"].dtype == float
    assert (frame["exact_match_low"] <= frame["exact_match"]).all()
    assert frame.loc[0, "seeds_done"] == "0 1 2"
