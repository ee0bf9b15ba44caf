"""Steps over a small pool that is in a store already, done by toy parts that need no model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sftbench import shelf
from sftbench.executors.local import LocalExecutor, Slots
from sftbench.fingerprint import canonical
from sftbench.plan import Step
from sftbench.pools import pool_from_rows
from sftbench.record import Record
from sftbench.store import Store

TOYS = Path(__file__).resolve().parent.parent / "toys"
TOY = {"add": 0, "diary": "", "seconds": 0, "meets": 0, "kills": 0, "fails": False}
TOY |= {"disk_full": False, "reports": ""}


@pytest.fixture(autouse=True)
def _toys_are_known_to_workers(monkeypatch):
    paths = [str(TOYS), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("SFTBENCH_PLUGINS", "toy_parts")


@pytest.fixture(scope="session")
def stocked(tmp_path_factory):
    """A store with one finished pool, and the step that would make it."""
    store = Store(tmp_path_factory.mktemp("stocked"))
    pool = Step(room="pool", label="pool", identity={"make": "read"})
    rows = [{"id": str(index), "instruction": "say", "output": "a" * index} for index in range(1, 6)]
    with store.making("pool", pool.key) as work:
        made = pool_from_rows(rows, into=work / shelf.POOL_ROWS, key=pool.ref)
        shelf.save_pool_form(made, work)
        store.commit(work, Record(key=pool.key, room="pool", identity=pool.identity))
    return store, pool


class Workshop:
    """A store with a pool in it, steps to be done, and what was heard while they were done."""

    def __init__(self, root: Path, stocked):
        shutil.copytree(stocked[0].root, root)
        self.store, self.pool = Store(root), stocked[1]
        self.events, self.ends = [], []

    def toy(self, label, *, after=(), **parameters):
        """A toy scorer's step that waits for the steps `after`."""
        identity = {"part": "toy@1", "parameters": {**TOY, **parameters}, "label": label}
        canonical(identity)
        parents = {"pool": self.pool.ref, **{f"after-{step.label}": step.ref for step in after}}
        return Step(room="scores", label=label, identity=identity, parents=parents)

    def executor(self, *, workers=1, redo=frozenset()):
        return LocalExecutor(
            store=self.store.root,
            slots=Slots(num_workers=workers, num_threads=1),
            logs=self.store.root / "logs",
            provenance={"made": "in a test"},
            on_event=lambda step, event: self.events.append((step.label, event)),
            on_end=lambda step, outcome, why: self.ends.append((step.label, outcome, why)),
            redo=redo,
        )

    def run(self, *steps, workers=1, ended=None, redo=frozenset()):
        """Do the steps; outcomes by label."""
        wanted = {step.ref: step for step in (self.pool, *steps)}
        outcomes = self.executor(workers=workers, redo=redo).run(wanted, {self.pool.ref: "done", **(ended or {})})
        return {wanted[ref].label: outcome for ref, outcome in outcomes.items() if ref != self.pool.ref}

    def record(self, step):
        return self.store.find(step.room, step.key)


@pytest.fixture
def workshop(tmp_path, stocked):
    return Workshop(tmp_path / "store", stocked)


@pytest.fixture
def diary(tmp_path):
    """A file that toys write `PID START END` into, and its lines as numbers."""

    class Diary:
        path = str(tmp_path / "diary")

        def lines(self):
            text = Path(self.path).read_text() if Path(self.path).exists() else ""
            return [tuple(map(float, line.split())) for line in text.splitlines()]

    return Diary()
