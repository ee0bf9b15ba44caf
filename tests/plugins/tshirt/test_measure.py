"""From losses to scores: the threshold over the pool, empty copies in both modes, rows that are not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench import Scores
from sftbench_plugins.tshirt.copies import Losses
from sftbench_plugins.tshirt.measure import Measured, Rule, Stock, measure


def run(rows: list[np.ndarray], folder: Path, **rule: Any) -> Scores:
    """Each row is its Delta [N, k]; the losses alone are 5 nats everywhere."""
    stock = Stock(num_tokens=np.array([row.shape[1] for row in rows]))
    stream = [
        Measured(at, Losses((5 + row).astype(np.float32), np.full(row.shape, 5, np.float32)), 0.75)
        for at, row in enumerate(rows)
    ]
    settings = {"keep": 0.5, "as_authors": False} | rule
    return measure(stream, stock, Rule(**settings), num_copies=rows[0].shape[0], folder=folder)


def random_rows(count: int = 8, copies: int = 5) -> list[np.ndarray]:
    random = np.random.default_rng(11)
    # Multiples of 2^-10 survive the addition to 5 unrounded.
    return [np.round(random.normal(-0.5, 1, (copies, 3 + at)) * 1024) / 1024 for at in range(count)]


@pytest.mark.parametrize("keep", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("as_authors", [True, False])
def test_scores_equal_those_of_a_loop_over_tokens(keep: float, as_authors: bool, tmp_path: Path) -> None:
    rows = random_rows()
    scores = run(rows, tmp_path, keep=keep, as_authors=as_authors)
    tau = np.percentile(np.abs(np.concatenate([row.ravel() for row in rows])), 100 * (1 - keep))
    assert scores.report["tau_nats"] == tau
    for at, row in enumerate(rows):
        copies = []
        for copy in row:
            kept = [value for value in copy if abs(value) > tau]
            if kept or as_authors:
                copies.append(np.exp(sum(kept) / max(1, len(kept))))
        if not as_authors and len(copies) < len(row) / 2:
            assert scores.reasons[at] == "no_informative_tokens"
            continue
        assert scores.values[at] == pytest.approx(np.mean(copies), rel=1e-6)
        assert scores.columns["std_sifd"][at] == pytest.approx(np.std(copies), rel=1e-5, abs=1e-9)
        assert scores.columns["mean_noisy_ifd"][at] == pytest.approx(np.exp(row.mean(1)).mean(), rel=1e-6)


def test_keeping_everything_still_drops_exactly_the_smallest_tokens(tmp_path: Path) -> None:
    rows = [np.array([[0.25, -0.25, 0.5, 1.0]]), np.array([[0.25, 2.0]])]
    scores = run(rows, tmp_path, keep=1.0)
    assert scores.report["tau_nats"] == 0.25
    assert scores.columns["num_kept"].tolist() == [2, 1]
    np.testing.assert_allclose(scores.values, [np.exp(0.75), np.exp(2.0)])


def test_a_row_without_informative_tokens_scores_one_with_the_authors_and_nothing_in_the_paper_mode(
    tmp_path: Path,
) -> None:
    rows = [np.full((3, 1), 0.001), np.full((3, 5), -1.0), np.full((3, 2), 0.5)]
    official, paper = run(rows, tmp_path, as_authors=True), run(rows, tmp_path)
    assert (official.values[0], official.columns["std_sifd"][0]) == (1.0, 0.0)
    assert np.isnan(paper.values[0])
    assert paper.reasons[0] == "no_informative_tokens"
    for scores in (official, paper):
        # The threshold is 1: nothing is strictly above it, in any row.
        assert scores.report["num_rows_with_only_empty_copies"] == 3


def test_a_loss_that_is_not_finite_takes_out_its_row_and_no_other(tmp_path: Path) -> None:
    rows = random_rows()
    without = run([*rows[:3], *rows[4:]], tmp_path)
    rows[3] = rows[3].copy()
    rows[3][2, 1] = np.nan
    scores = run(rows, tmp_path)
    assert scores.reasons[3] == "non_finite"
    assert np.isnan(scores.values[3])
    assert scores.report["tau_nats"] == without.report["tau_nats"]
    np.testing.assert_array_equal(np.delete(scores.values, 3), without.values)


def test_a_score_beyond_the_largest_float_is_not_finite(tmp_path: Path) -> None:
    scores = run([np.full((2, 2), 1000.0), np.full((2, 2), -0.5)], tmp_path, keep=0.75)
    assert scores.reasons[0] == "non_finite"
    assert np.isfinite(scores.values[1]) or 1 in scores.reasons


def test_without_selection_of_tokens_the_score_is_the_noisy_ifd(tmp_path: Path) -> None:
    rows = random_rows()
    scores = run(rows, tmp_path, selective=False)
    np.testing.assert_allclose(scores.values, [np.exp(row.mean(1)).mean() for row in rows], rtol=1e-6)
    np.testing.assert_allclose(scores.columns["std_sifd"], [np.exp(row.mean(1)).std() for row in rows], rtol=1e-5)
