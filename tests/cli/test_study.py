"""`bench study` as a user has it: a grid run, its report, both again from the records, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOYS = Path(__file__).resolve().parent.parent / "toys"
STUDY = """
about: Does it matter what the toy adds?
run: {budget: ["5"], seeds: 1, controls: none, judge: none, evals: nll, max_length: 64, trainer: "sft[epochs=1]",
      limit: 30, describe: response, describe_tokens: 20}
series:
  - {name: toy, methods: "toy[add=0|1|2]", published: ["m2m-slopes: micro-response"]}
  - {name: broken, methods: "toy[fails=true]"}
  - {name: elsewhere, methods: "nobody-has-this[level=1|2]", if_installed: true}
  - {name: random, methods: random}
x: {of: add, label: what is added}
performance: [{metric: nll, label: negative log-likelihood, unit: nats}]
analyses: [regression, sweep, correlation]
correlated: [length, distinct-1-at-budget]
published: [m2m-slopes]
"""


@pytest.fixture(scope="module")
def studied(shared_bench, material):
    """A small study with one method that fails and one that nobody has, carried out."""
    path = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    shared_bench.environment |= {"PYTHONPATH": path, "SFTBENCH_PLUGINS": "toy_parts"}
    (shared_bench.folder / "toys.yaml").write_text(STUDY, encoding="utf-8")
    command = ("study", "toys.yaml", "--pool", material.pool, "--base", material.model, "-o", "json")
    return command, shared_bench(*command)


def reported(bench):
    folder = bench.folder / "leaderboards" / "toys" / "study"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_study_ends_with_tables_figures_and_the_cells_that_failed(shared_bench, studied):
    _, done = studied
    assert done.returncode == 1, done.stderr
    assert "1 of 5 cells failed" in done.stderr
    assert "nobody-has-this" in done.stderr
    tables = json.loads(done.stdout)
    assert [row["series"] for row in tables["trials"]] == ["toy", "toy", "toy", "random"]
    assert [row["x"] for row in tables["trials"]] == [0, 1, 2, None]
    assert all(row["response:distinct-1-at-budget"] > 0 for row in tables["trials"])
    (slope,) = tables["slopes"]
    assert slope["num_trials"] == 3
    assert slope["published"].startswith("5.35")
    found = reported(shared_bench)
    assert {"README.md", "trials.csv", "slopes.csv", "regression-nll.svg", "regression-nll.png"} <= set(found)
    text = found["README.md"].decode()
    assert "1 cell failed" in text
    assert "Left out, since it is not installed: elsewhere" in text
    assert (shared_bench.folder / "results" / "toys" / "study.json").is_file()
    assert (shared_bench.folder / "leaderboards" / "toys" / "board.json").is_file()


def test_the_same_again_does_nothing_and_gives_the_same(shared_bench, studied):
    def made():
        return {path: path.stat().st_mtime_ns for path in (shared_bench.folder / "store").rglob("record.json")}

    before, steps = reported(shared_bench), made()
    command, first = studied
    done = shared_bench(*command)
    # What follows the step that failed is in no store, and is not tried either.
    assert len(steps) > 20
    assert made() == steps
    assert done.stdout == first.stdout
    assert reported(shared_bench) == before


def test_the_report_comes_from_the_records_alone(shared_bench, studied):
    before = reported(shared_bench)
    done = shared_bench("study", "results/toys", "--board", "elsewhere", "-o", "csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("series,budget,metric")
    folder = shared_bench.folder / "elsewhere" / "study"
    assert {path.name: path.read_bytes() for path in sorted(folder.iterdir())} == before


def test_records_are_not_changed_by_flags(shared_bench, studied):
    assert "--seeds" in shared_bench.refused(2, "study", "results/toys", "--seeds", "2")


def test_the_studies_that_come_along_are_listed(shared_bench):
    done = shared_bench("study", "--list", "-o", "json")
    assert {"m2m-levels", "mixing", "budget-sweep"} <= {row["study"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["m2m-level"], "m2m-levels"),
        (["none.yaml"], "none.yaml"),
        (["m2m-levels", "--budget", "nothing"], "budget"),
        (["m2m-levels", "-c", "x.yaml"], "own file"),
    ],
)
def test_what_cannot_be_is_refused(shared_bench, arguments, part):
    assert part in shared_bench.refused(2, "study", *arguments)
