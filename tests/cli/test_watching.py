"""What a person sees while a run works: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from sftbench.cli.watching import Watching
from sftbench.plan import Step
from sftbench.record import Failure, Record

STEP = Step(room="scores", label="scores of [odd] names", identity={"part": "odd@1"})


@pytest.fixture
def terminal(monkeypatch):
    """Makes rich believe that stderr is a terminal, wide enough for every column."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm-256color")


def worked(*, ends=True):
    """A run of two phases whose one step starts, goes on and ends."""
    with Watching() as watcher:
        watcher.planned(1, 0)
        watcher.planned(4, 2)
        watcher.event(STEP, {"event": "started"})
        watcher._progress.refresh()
        watcher.event(STEP, {"event": "progress", "done": 12, "total": 40, "unit": "row"})
        watcher._progress.refresh()
        watcher.event(STEP, {"event": "log", "message": "320 of 40 rows have no score: {'too_few_tokens': 320}"})
        if ends:
            watcher.ended(STEP, "done", "", None)
            watcher._progress.refresh()


def seen(capsys):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)


def test_a_step_that_has_told_nothing_yet_has_a_bar_on_a_terminal(terminal, capsys):
    worked()
    shown = seen(capsys)
    assert "scores of [odd] names" in shown
    assert "12/40 row" in shown
    assert "2/4 steps" in shown
    assert "3/4 steps" in shown


def test_the_bar_of_all_steps_stands_once(terminal, capsys):
    worked(ends=False)
    frames = seen(capsys).partition("12/40 row")[2]
    lines = [line.strip().startswith("all steps") for line in re.split(r"[\r\n]+", frames) if line.strip()]
    assert any(lines)
    assert not any(this and following for this, following in pairwise(lines))


def test_without_a_terminal_there_are_plain_lines(capsys):
    worked()
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert printed.splitlines() == [
        "1 steps, 0 of them in the store already",
        "4 steps, 2 of them in the store already",
        "320 of 40 rows have no score: {'too_few_tokens': 320}",
    ]


def test_a_failure_is_told_with_its_reason(capsys):
    failure = Failure(error="ValueError", message="the tokenizer is [gone]", trace="", exit_code=1)
    with Watching() as watcher:
        watcher.planned(1, 0)
        watcher.event(STEP, {"event": "started"})
        record = Record(key="k", room="scores", identity={}, status="failed", failure=failure)
        watcher.ended(STEP, "failed", "", record)
    assert "[1/1] scores of [odd] names FAILED: the tokenizer is [gone]" in capsys.readouterr().err
