"""Observers hear of steps only when a run asks for it, and whatever befalls them is none of the run's business."""

from __future__ import annotations

import sys
import types

import pytest

from sftbench.plugins import load
from sftbench_plugins import observers_tensorboard, observers_wandb
from sftbench_plugins.heard import numbers_of
from sftbench_plugins.observers_tensorboard import events
from sftbench_plugins.observers_wandb import sending

RECORD = {
    "room": "evaluation",
    "status": "done",
    "ledger": {"wall_seconds": 2.5, "flops": 1e9},
    "payload": {"items": {"nll": [1.0, None, 3.0], "empty": [None]}},
}
VERDICTS = {"room": "verdicts", "status": "failed", "ledger": {}, "payload": {"preference": [0.25, 0.75, 1.0, None]}}


def run(tmp_path, *observers, number=1):
    return {
        "name": "toys", "step": "nll of tshirt, seed 0", "num_ended": number, "observers": list(observers),
        "observer_folder": str(tmp_path),
    }  # fmt: skip


class Library:
    """Both libraries, as far as they are used, keeping what they are given."""

    def __init__(self):
        self.opened, self.told = [], []

    def SummaryWriter(self, folder):  # noqa: N802
        self.opened.append(folder)
        return self

    def add_scalar(self, name, value, step):
        self.told.append((name, value, step))

    def add_text(self, name, text, step):
        self.told.append((name, text, step))

    def flush(self):
        self.told.append("flush")

    def init(self, **about):
        self.opened.append(about)
        return self

    def Settings(self, **about):  # noqa: N802
        return about

    def log(self, numbers, *, step):
        self.told.append((numbers, step))


@pytest.fixture
def library(monkeypatch):
    made = Library()
    for name in ("torch.utils.tensorboard", "wandb"):
        module = types.ModuleType(name)
        module.SummaryWriter, module.init, module.Settings = made.SummaryWriter, made.init, made.Settings
        monkeypatch.setitem(sys.modules, name, module)
    events._writer.cache_clear()
    sending._session.cache_clear()
    yield made
    events._writer.cache_clear()
    sending._session.cache_clear()


def test_a_step_is_told_by_its_cost_and_by_means_over_items():
    told = numbers_of(RECORD)
    assert told["cost/evaluation/wall_seconds"] == 2.5
    assert told["evaluation/nll"] == 2.0
    assert told["failed/evaluation"] == 0.0
    assert "evaluation/empty" not in told
    judged = numbers_of(VERDICTS)
    assert judged["verdicts/preference"] == pytest.approx(2 / 3)
    assert judged["failed/verdicts"] == 1.0
    assert numbers_of({**VERDICTS, "payload": {}})["failed/verdicts"] == 1.0


@pytest.mark.parametrize("observer", [observers_tensorboard, observers_wandb])
def test_nothing_is_done_unless_asked_for(observer, library, tmp_path):
    observer.sftbench_step_ended(RECORD, {})
    observer.sftbench_step_ended(RECORD, run(tmp_path))
    observer.sftbench_step_ended(RECORD, run(tmp_path, "another"))
    assert library.opened == []
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_a_point_per_step_in_one_folder_per_run(library, tmp_path):
    for number in (1, 2):
        observers_tensorboard.sftbench_step_ended(RECORD, run(tmp_path, "tensorboard", number=number))
    assert library.opened == [str(tmp_path / "toys")]
    assert [each[2] for each in library.told if each[0] == "evaluation/nll"] == [1, 2]
    assert ("steps/evaluation", "nll of tshirt, seed 0", 1) in library.told
    assert library.told[-1] == "flush"


def test_wandb_gets_numbers_and_names_and_no_row_or_command(library, tmp_path):
    for number in (1, 2):
        observers_wandb.sftbench_step_ended(RECORD, run(tmp_path, "wandb", number=number))
    (about,) = library.opened
    assert (about["project"], about["name"], about["dir"]) == ("sftbench", "toys", str(tmp_path))
    assert about["settings"]["save_code"] is False
    assert about["settings"]["disable_git"] is True
    assert [step for _, step in library.told] == [1, 2]
    numbers, _ = library.told[0]
    assert numbers == {**numbers_of(RECORD), "step/room": "evaluation", "step/name": "nll of tshirt, seed 0"}


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_library_that_is_missing_is_named_with_the_way_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, {"tensorboard": "torch.utils.tensorboard"}.get(name, name), None)
    events._writer.cache_clear()
    sending._session.cache_clear()
    (problem,) = load().observe(RECORD, run(tmp_path, name))
    assert problem.startswith(f"{name}: EnvironmentProblem: ")
    assert f"pip install 'sftbench[{name}]'" in problem


def test_an_observer_that_fails_keeps_no_other_from_hearing(library, tmp_path, monkeypatch):
    def fails(*arguments, **more):
        raise OSError("disk full")

    monkeypatch.setattr(library, "add_scalar", fails)
    problems = load().observe(RECORD, run(tmp_path, "tensorboard", "wandb"))
    assert problems == ["tensorboard: OSError: disk full"]
    assert len(library.told) == 1


def test_both_are_known_as_observers():
    assert {"tensorboard", "wandb"} <= set(load().observers)
