"""`bench judge score` as a user has it: every form of output, and what is refused."""

from __future__ import annotations

import csv
import io
import json

import pytest

import sftbench


@pytest.fixture(scope="module")
def verdicts(shared_bench):
    """Two models on twelve prompts; the second has no verdict on two of them."""
    labels = ["A>>B", "A>B", "A=B", "B>A"]
    rows = [
        {
            "id": prompt, "model": model, "baseline": "b", "preference": round((prompt * 5 % 12) / 11, 3),
            "baseline_first": labels[prompt % 4], "model_first": labels[prompt % 3],
            "length_model": 90 + prompt * 7 % 31, "length_baseline": 100,
            "style_model": {"headers": prompt % 2, "lists": prompt % 5, "bolds": 0},
            "style_baseline": {"headers": 0, "lists": prompt % 3, "bolds": 0},
        }
        for model in ("m", "n")
        for prompt in range(12)
    ]  # fmt: skip
    for row in rows[-2:]:
        row |= {"preference": None, "model_first": None, "flags": ["unparsable"]}
    return shared_bench.write("verdicts.jsonl", rows)


@pytest.mark.parametrize("metric", ["win-rate", "alpaca-lc", "arena-style"])
def test_every_metric_has_scores_with_bounds(shared_bench, verdicts, metric):
    done = shared_bench("judge", "score", verdicts, "--metric", metric, "--resamples", "50", "-o", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {"m", "n"}
    for row in rows.values():
        assert 0 <= row["ci_lo"] <= row["score"] <= row["ci_hi"] <= 100
    assert (rows["m"]["status"], rows["n"]["status"]) == ("complete", "partial")
    assert rows["n"]["num_missing"] == 2
    assert "unparsable: 2" in rows["n"]["notes"]


def test_every_form_of_output_tells_the_same(shared_bench, verdicts):
    command = ("judge", "score", verdicts, "--metric", "win-rate", "--resamples", "50", "-o")
    rows = json.loads(shared_bench(*command, "json").stdout)
    lines = list(csv.DictReader(io.StringIO(shared_bench(*command, "csv").stdout)))
    assert [float(line["score"]) for line in lines] == [row["score"] for row in rows]
    for form in ("table", "md"):
        text = shared_bench(*command, form).stdout
        assert all(f"{row['score']:.2f}" in text for row in rows)


def test_from_python_it_is_a_data_frame(shared_bench, verdicts):
    found = sftbench.score_verdicts(verdicts, metric="alpaca-lc", resamples=50)
    done = shared_bench("judge", "score", verdicts, "--metric", "alpaca-lc", "--resamples", "50", "-o", "json")
    assert found["score"].tolist() == [row["score"] for row in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--metric", "win-rte"], "unknown metric 'win-rte'; did you mean 'win-rate'?"),
        (["--metric", "win-rate", "--mode", "offical"], "unknown mode 'offical'; did you mean 'official'?"),
        (["--metric", "win-rate", "--control", "length"], "--control belongs to the metric arena-style"),
        (["--metric", "win-rate", "--resamples", "1"], "--resamples is at least 2"),
        (["--metric", "win-rate", "--mode", "official", "--resamples", "9"], "no --resamples"),
        (["--metric", "alpaca-lc", "--form", "v1"], "--form v1 needs the verdicts on gamed baselines"),
        (["--metric", "alpaca-lc", "--form", "noreg"], "needs the difficulty"),
        (["--metric", "alpaca-lc", "--form", "joint"], "needs 10 models"),
        (["--metric", "alpaca-lc", "--form", "minmal"], "unknown form 'minmal'; did you mean 'minimal'?"),
        (["--metric", "alpaca-lc", "--form", "joint", "--mode", "official"], "no form of the official code"),
        (["--metric", "alpaca-lc", "--form", "minimal", "--difficulty", "d.csv"], "has no use for --difficulty"),
        (["--metric", "alpaca-lc", "--difficulty", "d.csv"], "cannot read d.csv"),
        (["--metric", "arena-style", "--control", "lenght"], "did you mean 'length'?"),
        (["--metric", "arena-style", "--control", "length,length"], "names one thing twice"),
        (["--metric", "arena-style", "--control", "length", "--mode", "official"], "length,markdown only"),
        (["--metric", "win-rate", "--expected", "3"], "more than the 3 expected"),
    ],
)
def test_what_cannot_be_meant_is_refused(shared_bench, verdicts, arguments, part):
    assert part in shared_bench.refused(2, "judge", "score", verdicts, *arguments)


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (["index,instruction_difficulty", "0,1.5", "1,hard"], "line 3: instruction_difficulty is 'hard'"),
        (["index,instruction_difficulty", "0,1.5", "0,1"], "line 3: instruction '0' for the second time"),
        (["index,difficulty", "0,1.5"], "has no column 'instruction_difficulty'"),
        (["index,instruction_difficulty"], "has no rows"),
        (["name,instruction_difficulty", "0,1.5"], "neither 'id' nor 'index'"),
        (["index,instruction_difficulty", *(f"{n + 1},0.5" for n in range(12))], "no difficulty, such as '0'"),
    ],
)
def test_a_bad_file_of_difficulties_is_refused(shared_bench, verdicts, lines, part):
    path = shared_bench.folder / "difficulty.csv"
    path.write_text("\n".join(lines) + "\n")
    message = shared_bench.refused(2, "judge", "score", verdicts, "--metric", "alpaca-lc", "--difficulty", path)
    assert part in message


def test_verdicts_without_what_a_metric_needs_are_refused_with_the_line(bench):
    rows = [{"id": n, "model": "m", "baseline": "b", "preference": 0.5, "length_model": 3} for n in range(6)]
    path = bench.write("bare.jsonl", rows)
    for metric, part in (("alpaca-lc", "length control needs"), ("arena-style", "style control needs")):
        message = bench.refused(2, "judge", "score", path, "--metric", metric)
        assert "line 1" in message
        assert part in message
