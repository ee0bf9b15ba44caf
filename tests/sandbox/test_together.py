"""Several programs at a time: as many as the process has cores, of which the processes of a run have a share each."""

from __future__ import annotations

import os

import pytest

from sftbench.devices import num_threads, own_threads
from sftbench.executors.local import LocalExecutor, Slots
from sftbench.sandbox import run_codes

PROGRAM = "import time\nbegan = time.time()\ntime.sleep(0.4)\nprint(began, time.time(), {number})"


def most_at_a_time(outcomes):
    spans = [tuple(map(float, each.output.split()[:2])) for each in outcomes]
    return max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_programs_run_than_there_are_threads(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.setattr("sftbench.devices.num_cores", lambda: 8)
    outcomes = run_codes([PROGRAM.format(number=number) for number in range(2 * threads)], scratch=tmp_path)
    assert [each.output.split()[2] for each in outcomes] == [str(number) for number in range(2 * threads)]
    assert most_at_a_time(outcomes) == threads
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("workers", "expected"), [(1, 8), (2, 4), (3, 2), (16, 1)])
def test_a_process_of_a_run_has_its_share_of_the_cores(tmp_path, monkeypatch, workers, expected):
    """What the executor tells its processes is what the sandbox goes by: together they have no more than the cores."""
    monkeypatch.setattr("sftbench.devices.num_cores", lambda: 8)
    executor = LocalExecutor(
        store=tmp_path, slots=Slots(num_workers=workers, num_threads=num_threads(workers)), logs=tmp_path,
        provenance={}, on_event=lambda *told: None, on_end=lambda *told: None,
    )  # fmt: skip
    for name, value in executor._limits(0).items():
        monkeypatch.setenv(name, value)
    assert own_threads() == expected


@pytest.mark.parametrize("told", [None, "", "all", "0", "64", "3,2"])
def test_outside_of_a_run_it_has_what_it_may_use(monkeypatch, told):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3, 5})
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert own_threads() == (3 if told == "3,2" else 5)
