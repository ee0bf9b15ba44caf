"""A metric that is a number without items, from the evaluator to the board."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOYS = Path(__file__).resolve().parent.parent / "toys"


@pytest.fixture(scope="module")
def run(shared_bench, material):
    """A small run that measures nothing but a perplexity."""
    path = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    shared_bench.environment |= {"PYTHONPATH": path, "SFTBENCH_PLUGINS": "number_parts"}
    common = (
        "--pool", material.pool, "--base", material.model, "--limit", "30", "--budget", "5",
        "--methods", "longest,random", "--controls", "none", "--judge", "none", "--max-length", "64",
        "--trainer", "sft[epochs=1]", "--name", "numbers",
    )  # fmt: skip
    return lambda evaluator, seeds: shared_bench("run", *common, "--evals", evaluator, "--seeds", seeds)


def test_a_number_has_students_interval_over_seeds_and_says_that_it_has_no_items(run, shared_bench):
    done = run("toy-perplexity", "3")
    assert done.returncode == 0, done.stderr
    board = json.loads((shared_bench.folder / "leaderboards" / "numbers" / "board.json").read_text())
    records = [
        json.loads(path.read_text())
        for path in sorted((shared_bench.folder / "results" / "numbers" / "random").rglob("seed-*.json"))
    ]
    numbers = np.array([each["evaluations"]["toy-perplexity"]["numbers"]["perplexity"] for each in records])
    assert len(set(numbers)) == 3
    found = next(row for row in board["rows"] if row["label"] == "random")["metrics"]["perplexity"]
    half = stats.t.ppf(0.975, 2) * numbers.std(ddof=1) / np.sqrt(3)
    assert found["mean"] == pytest.approx(numbers.mean(), rel=1e-5)
    assert (found["low"], found["high"]) == pytest.approx((numbers.mean() - half, numbers.mean() + half), rel=1e-5)
    assert (found["num_seeds"], found["num_items"]) == (3, 0)
    assert board["num_items"] == {"perplexity": 0}
    assert board["sort_metric"] == "perplexity"
    assert any("perplexity is a number without a value per item" in note for note in board["notes"])
    assert "perplexity is a number without a value per item" in done.stdout
    with (shared_bench.folder / "leaderboards" / "numbers" / "board.csv").open() as stream:
        rows = {row["label"]: row for row in csv.DictReader(stream)}
    assert float(rows["random"]["perplexity_low"]) == pytest.approx(found["low"])


def test_an_evaluator_that_does_not_say_what_is_better_fails_with_that_reason(run):
    done = run("toy-perplexity[untold=true]", "1")
    assert done.returncode != 0
    assert "but says what is better of []" in done.stdout + done.stderr
