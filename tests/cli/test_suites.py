"""`bench run --suite PROMPTS`: from a pool to win rates before two judges, or against answers of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOYS = Path(__file__).resolve().parent.parent / "toys"
NUM_PROMPTS = 7


@pytest.fixture(scope="module")
def ran(shared_bench, material):
    """A run over prompts of one's own, one of them of two turns and warm, before two judges that disagree."""
    path = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    shared_bench.environment |= {"PYTHONPATH": path, "SFTBENCH_PLUGINS": "judging_parts"}
    prompts = [{"id": f"p{at}", "prompt": f"tell {at}"} for at in range(NUM_PROMPTS)]
    prompts[0] = {"id": "p0", "turns": ["tell", "more"], "temperature": 0.8}
    shared_bench.write("own.jsonl", prompts)
    command = (
        "--methods", "random,longest", "--controls", "none", "--suite", "own.jsonl", "--pool", material.pool, "--base",
        material.model, "--limit-pool", "30", "--budget", "4", "--seeds", "1", "--judge",
        "toy-judge,toy-judge[shorter=true]", "--max-new-tokens", "6", "--max-length", "64", "--trainer",
        "sft[epochs=1]",
    )  # fmt: skip
    return shared_bench, command, shared_bench("run", *command, "--name", "own", "--limit", "6")


def test_a_pool_becomes_win_rates_before_two_judges(ran):
    bench, _, done = ran
    assert done.returncode == 0, done.stderr
    board = json.loads((bench.folder / "leaderboards" / "own" / "board.json").read_text())
    rows = {row["judge"]: row for row in board["judged"]}
    assert list(rows) == ["toy-judge", "toy-judge[shorter=true]"]
    first, second = rows.values()
    assert first["win_rate"]["mean"] + second["win_rate"]["mean"] == pytest.approx(100)
    assert first["win_rate"]["low"] is not None
    assert (first["consistency"], first["position_bias"], first["unparsable"]) == (1, 0, 0)
    assert second["reversals"] == pytest.approx(1 - second["ties"])
    assert first["controlled"]["mean"] is not None
    assert "Judged by toy-judge" in done.stdout


def test_the_records_tell_what_was_cut_and_hold_every_judges_verdicts(ran):
    bench, _, _ = ran
    results = bench.folder / "results" / "own"
    told = json.loads((results / "run.json").read_text())["settings"]
    assert told["limits"] == {"pool_rows": 30, "prompts": 6, "items": None, "items_of": []}
    (path,) = results.glob("longest/*/seed-0.json")
    cell = json.loads(path.read_text())
    assert cell["prompts"] == {
        "suite": "own", "version": "1", "control": "length", "num_prompts": 6, "num_in_all": NUM_PROMPTS
    }  # fmt: skip
    assert cell["verdicts"]["ids"] == [f"p{at}" for at in range(6)]
    assert len(cell["verdicts"]["columns"]["length_model"]) == 6
    assert [each["judge"] for each in cell["further_verdicts"]] == ["toy-judge[shorter=true]"]


def test_the_same_command_again_does_nothing(ran):
    bench, command, _ = ran
    done = bench("run", *command, "--name", "own", "--limit", "6")
    assert done.returncode == 0, done.stderr
    before, _, known = done.stderr.partition(" steps, ")
    assert known.split()[0] == before.split()[-1]


def test_a_file_of_answers_is_a_baseline(ran):
    bench, command, _ = ran
    rows = [{"id": f"p{at}", "model": "wordy", "output": "word " * 500} for at in range(1, NUM_PROMPTS)]
    bench.write("answers.jsonl", [{"id": "p0", "model": "wordy", "turns": ["word " * 500] * 2}, *rows])
    more = ("--baseline", "answers.jsonl#wordy", "--judge", "toy-judge", "--name", "against", "--limit", "6")
    done = bench("run", *command, *more)
    assert done.returncode == 0, done.stderr
    board = json.loads((bench.folder / "leaderboards" / "against" / "board.json").read_text())
    assert board["baseline"] == "wordy"
    assert {row["label"]: row["win_rate"]["mean"] for row in board["judged"]} == {"random": 0, "longest": 0}


def test_a_folder_of_results_is_scored(ran):
    bench, _, _ = ran
    done = bench("judge", "score", "results/own", "--metric", "win-rate", "-o", "json", "--resamples", "20")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["model"], row["num_prompts"]) == ("longest@4/seed-0", 6)


def test_suites_of_prompts_are_listed(ran):
    bench, _, _ = ran
    listed = {row["name"] for row in json.loads(bench("list", "suites", "-o", "json").stdout)}
    assert {"microcosm", "alpaca-eval", "arena-hard-v0.1", "arena-hard-v2.0", "mt-bench"} <= listed
