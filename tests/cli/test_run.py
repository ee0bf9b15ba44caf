"""`bench run` from the first step to the board: interrupted, gone on with, failing in parts, and looked at again."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOYS = Path(__file__).resolve().parent.parent / "toys"


@pytest.fixture(scope="module")
def run(shared_bench, material):
    """A small run over toys: few rows, a tiny model, one seed, no controls."""
    path = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    shared_bench.environment |= {"PYTHONPATH": path, "SFTBENCH_PLUGINS": "toy_parts"}
    common = (
        "--pool", material.pool, "--base", material.model, "--limit", "30", "--budget", "5", "--seeds", "1",
        "--controls", "none", "--judge", "none", "--evals", "nll", "--max-length", "64", "--trainer", "sft[epochs=1]",
        "--name", "toys",
    )  # fmt: skip

    class Run:
        bench = shared_bench
        diary = shared_bench.folder / "diary"
        board = shared_bench.folder / "leaderboards" / "toys"
        results = shared_bench.folder / "results" / "toys"
        waiting = f"toy[meets=2,diary={diary}]"

        def command(self, methods, *more, verb="run"):
            return (verb, "--methods", methods, *common, *more)

        def __call__(self, methods, *more, verb="run"):
            return shared_bench(*self.command(methods, *more, verb=verb))

        def start(self, methods):
            return shared_bench.start(*self.command(methods))

        def boards(self):
            files = [path for path in sorted(self.board.rglob("*")) if path.is_file()]
            return {path.relative_to(self.board).as_posix(): path.read_bytes() for path in files}

    return Run()


def told(done):
    """How many steps there were, and how many of them the store had."""
    return tuple(map(int, re.search(r"(\d+) steps, (\d+) of them in the store", done.stderr).groups()))


def test_an_interrupted_run_says_so_and_goes_on_where_it_was(run):
    started = run.start(run.waiting)
    deadline = time.monotonic() + 240
    while not run.diary.exists():
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=180)
    assert started.returncode == 130
    assert "what was finished is kept" in errors
    assert "Traceback" not in errors
    # The toy waits for a second line in its diary: with it, the same command ends.
    with run.diary.open("a") as stream:
        stream.write("0 0 0\n")
    done = run(run.waiting)
    assert done.returncode == 0, done.stderr
    _, num_known = told(done)
    assert num_known >= 3
    assert "toy" in done.stdout


def test_the_same_command_again_does_nothing_and_gives_the_same_board(run):
    before = run.boards()
    assert len(before) >= 3
    done = run(run.waiting)
    assert done.returncode == 0
    num_steps, num_known = told(done)
    assert num_known == num_steps
    assert run.boards() == before


def test_a_plan_says_what_is_there_and_what_is_to_do(run):
    done = run(f"{run.waiting},longest", "-o", "json", verb="plan")
    assert done.returncode == 0, done.stderr
    cells = {row["method"]: row for row in json.loads(done.stdout)}
    assert cells["longest"]["in store"] < cells["longest"]["steps"]
    known = next(row for label, row in cells.items() if label.startswith("toy"))
    assert known["in store"] == known["steps"]


def test_a_failing_method_is_on_the_board_with_the_reason_and_the_others_are_done(run):
    done = run(f"{run.waiting},toy[fails=true]", "-o", "json")
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert len(rows) == 2
    text = json.dumps([row for row in rows if "fails=true" in json.dumps(row)])
    assert "the toy is broken" in text
    assert "1 of 2 cells failed" in done.stderr
    assert "--redo failed" in done.stderr


def test_what_failed_is_done_again_when_asked_for_and_not_before(run):
    diary = run.bench.folder / "failures"
    methods = f"{run.waiting},toy[fails=true,diary={diary}]"
    counts = []
    for redo in ("missing", "missing", "never", "failed"):
        assert run(methods, "--redo", redo).returncode == 1
        counts.append(len(diary.read_text().splitlines()))
    assert counts == [1, 1, 1, 2]


def test_a_budget_above_the_pool_is_refused_before_anything_is_spent_and_the_board_stays(run):
    before = run.boards()
    refused = run("toy[meets=1]", "--budget", "5000")
    assert refused.returncode == 2
    assert "5000 rows is more than the pool, which has" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run.boards() == before
    assert not list(run.results.glob("*/5000"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_run_with_the_way_out_and_nothing_is_lost(run):
    message = run.bench.refused(4, *run.command(f"{run.waiting},toy[disk_full=true]"))
    assert "is full" in message
    assert "--store" in message
    done = run(run.waiting)
    assert done.returncode == 0


@pytest.mark.parametrize("form", ["json", "csv", "md", "table"])
def test_a_board_can_be_printed_again_from_its_records(run, form):
    done = run.bench("board", run.results, "-o", form)
    assert done.returncode == 0, done.stderr
    assert "toy" in done.stdout


def test_the_site_of_a_run_is_what_its_records_give(run):
    assert json.loads((run.results / "methods.json").read_text(encoding="utf-8"))["toy"]["kind"] == "method"
    done = run.bench("board", "build", run.results, "--out", run.board, "--check")
    assert done.returncode == 0, done.stderr
    assert (run.board / "index.html").is_file()


def test_a_damaged_record_is_named(run):
    records = (run.bench.folder / "store" / "scores").rglob("record.json")
    # Not one of a toy that this command does not ask for.
    record = next(path for path in records if json.loads(path.read_text())["status"] == "done")
    text = record.read_text()
    record.write_text(text[: len(text) // 2])
    done = run(f"{run.waiting},toy[fails=true]")
    record.write_text(text)
    assert done.returncode == 6
    assert str(record) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cache_tells_what_is_large_and_forgets_what_it_is_told_to(run):
    def rooms(*more):
        return {row["room"]: row["steps"] for row in json.loads(run.bench("cache", "-o", "json", *more).stdout)}

    before = rooms()
    assert before["model"] == 1
    assert before["pool"] >= 3
    after = rooms("--remove", "model")
    assert "model" not in after
    assert after["pool"] == before["pool"]
