"""How long a step still takes is told late rather than wrong."""

from __future__ import annotations

import pytest

from sftbench.cli import watching
from sftbench.cli.pace import Pace
from sftbench.cli.watching import Watching
from sftbench.plan import Step

STEP = Step(room="evaluation", label="lm-eval of tshirt", identity={"part": "lm-eval@1"})


def paces(events):
    """What is known after each event of (seconds, done, total, unit)."""
    pace = None
    for now, done, total, unit in events:
        pace = Pace.after(pace, {"done": done, "total": total, "unit": unit}, now)
        yield pace


def test_what_came_before_the_count_is_not_in_the_rate():
    *_, pace = paces([(300.0, 0, 1000, "request"), (320.0, 100, 1000, "request")])
    assert (pace.rate, pace.left) == ("5 request/s", "3 min left")


def test_nothing_is_estimated_from_a_first_batch():
    events = [(0.0, 0, 50_000, "request"), (0.5, 1, 50_000, "request"), (9.9, 8_000, 50_000, "request")]
    assert [pace.left for pace in paces(events)] == ["", "", ""]
    slow = [(0.0, 0, 50_000, "request"), (30.0, 200, 50_000, "request"), (60.0, 400, 50_000, "request")]
    assert [pace.left for pace in paces(slow)] == ["", "", "2 h 4 min left"]


def test_a_second_count_begins_anew():
    events = [
        (0.0, 0, 100, "request"),
        (100.0, 100, 100, "request"),
        (101.0, 0, 50, "answer"),
        (121.0, 10, 50, "answer"),
    ]
    *_, begun, pace = paces(events)
    assert (begun.rate, begun.left) == ("", "")
    assert (pace.rate, pace.left) == ("0.5 answer/s", "80 s left")
    *_, again = paces([(0.0, 0, 10, "row"), (50.0, 10, 10, "row"), (51.0, 0, 10, "row"), (71.0, 5, 10, "row")])
    assert (again.rate, again.left) == ("0.25 row/s", "20 s left")


def test_at_the_end_nothing_is_left():
    *_, pace = paces([(0.0, 0, 10, "row"), (20.0, 10, 10, "row")])
    assert pace.left == "0 s left"


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""
    now = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    return now


def test_an_evaluation_whose_model_took_long_to_load_does_not_begin_with_days(clock, capsys):
    """The first line came a minute after the start, with one request of many: days, by the time since the start."""
    with Watching() as watcher:
        watcher.event(STEP, {"event": "started"})
        for now, done in ((60.0, 0), (60.5, 1), (71.0, 2_000), (82.0, 4_000)):
            clock[0] = now
            watcher.event(STEP, {"event": "progress", "done": done, "total": 20_000, "unit": "request"})
    assert capsys.readouterr().err.splitlines() == [
        "  lm-eval of tshirt: 0/20000 request",
        "  lm-eval of tshirt: 2000/20000 request, 182 request/s, 99 s left",
        "  lm-eval of tshirt: 4000/20000 request, 182 request/s, 88 s left",
    ]


def test_a_bar_has_the_same_estimate(clock, monkeypatch, capsys):
    for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "160", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    with Watching() as watcher:
        watcher.event(STEP, {"event": "started"})
        for now, done in ((60.0, 0), (61.0, 1), (80.0, 4_000)):
            clock[0] = now
            watcher.event(STEP, {"event": "progress", "done": done, "total": 20_000, "unit": "request"})
            watcher._progress.refresh()
    shown = capsys.readouterr().err
    assert shown.count("left") == shown.count("80 s left") >= 1
