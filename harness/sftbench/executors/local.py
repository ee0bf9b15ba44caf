"""Do the steps of a plan in processes of this machine, parents before children, each stage in processes of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sftbench.errors import SftbenchError
from sftbench.plan import STAGE_ORDER, STAGES_ALONE, STAGES_ONE_BY_ONE, Ref, Step
from sftbench.reporting import Event

LONGEST_WAIT = 1.0
"""Seconds after which an interrupt is noticed at the latest."""
ATTEMPTS = 2
"""A step whose process dies is tried once more: the cause is often memory that another step held."""

Outcome = Literal["done", "failed", "died"]


@dataclass(frozen=True, kw_only=True)
class Slots:
    """How many processes at a time, and what each may use."""

    num_workers: int
    num_threads: int
    devices: tuple[str, ...] = ()


@dataclass
class _Worker:
    """One child process and the step it is doing."""

    number: int
    stage: str
    process: subprocess.Popen[str]
    step: Step | None = None


@dataclass
class LocalExecutor:
    """Runs steps; `on_event` hears everything, `on_end` each finished step. Nothing here knows what a step does."""

    store: Path
    slots: Slots
    logs: Path
    provenance: Mapping[str, Any]
    on_event: Callable[[Step, Event], None]
    on_end: Callable[[Step, Outcome, str], None]
    redo: frozenset[Ref] = frozenset()
    on_begin: Callable[[Step], None] = lambda step: None
    """Hears of each step before a process gets it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the processes, besides those of this one."""
    _alone: str | None = None
    """The stage that must be alone and has begun."""
    _inbox: queue.SimpleQueue[tuple[_Worker, Event | None]] = field(default_factory=queue.SimpleQueue)
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _attempts: dict[Ref, int] = field(default_factory=dict)

    def run(self, steps: Mapping[Ref, Step], ended: Mapping[Ref, Outcome]) -> dict[Ref, Outcome]:
        """Do every step that is not in `ended`; a step with a failed parent is left out. Returns all outcomes.

        Raises `SftbenchError` when the store itself cannot be used (a full disk): no other step could end either.
        """
        outcomes = dict(ended)
        try:
            while self._hand_out(steps, outcomes):
                # What a step tells while it works frees no process and ends nothing.
                while not self._hear(*self._heard(), outcomes):
                    pass
        finally:
            self._dismiss_all()
        return outcomes

    def _heard(self) -> tuple[_Worker, Event | None]:
        """What a process says next. An interrupt just before a wait without end would be noticed only at its end."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._inbox.get(timeout=LONGEST_WAIT)

    def _hand_out(self, steps: Mapping[Ref, Step], outcomes: dict[Ref, Outcome]) -> bool:
        """Give ready steps to idle processes; False when nothing is running and nothing is ready."""
        running = {worker.step.ref for worker in self._workers.values() if worker.step is not None}
        ready = [
            step
            for ref, step in steps.items()
            if ref not in outcomes
            and ref not in running
            and all(outcomes.get(parent) == "done" for parent in step.parents.values())
        ]
        ready.sort(key=lambda step: STAGE_ORDER.index(step.stage))
        ready = self._admitted(ready)
        for number in range(self.slots.num_workers):
            worker = self._workers.get(number)
            if ready and (worker is None or worker.step is None):
                stage = worker.stage if worker else ready[0].stage
                step = next((each for each in ready if each.stage == stage), ready[0])
                ready.remove(step)
                self._give(number, step)
        return any(worker.step is not None for worker in self._workers.values())

    def _admitted(self, ready: list[Step]) -> list[Step]:
        """Those ready steps that may begin now: a stage that must be alone waits for all others, and they for it."""
        running = {worker.step.stage for worker in self._workers.values() if worker.step is not None}
        if self._alone not in running | {step.stage for step in ready}:
            self._alone = None
        if self._alone is None and ready and ready[0].stage in STAGES_ALONE:
            if running:
                return []
            self._alone = ready[0].stage
            # Idle processes hold memory too, on a GPU most of all.
            for worker in [each for each in self._workers.values() if each.stage != self._alone]:
                self._dismiss(worker)
        if self._alone is not None:
            admitted = [step for step in ready if step.stage == self._alone]
            return admitted[: 0 if running else 1] if self._alone in STAGES_ONE_BY_ONE else admitted
        return [step for step in ready if step.stage not in STAGES_ALONE]

    def _give(self, number: int, step: Step) -> None:
        self.on_begin(step)
        worker = self._workers.get(number)
        if worker is not None and (worker.stage != step.stage or worker.process.poll() is not None):
            self._dismiss(worker)
            worker = None
        if worker is None:
            worker = self._hire(number, step.stage)
        worker.step = step
        self._attempts[step.ref] = self._attempts.get(step.ref, 0) + 1
        order = {
            "step": dataclasses.asdict(step),
            "store": str(self.store),
            "provenance": dict(self.provenance),
            "redo": step.ref in self.redo,
        }
        # If the process is gone by now, its end arrives in the inbox and is dealt with there.
        with contextlib.suppress(BrokenPipeError):
            assert worker.process.stdin is not None
            worker.process.stdin.write(json.dumps(order) + "\n")
            worker.process.stdin.flush()
            self.on_event(step, {"event": "started"})

    def _hire(self, number: int, stage: str) -> _Worker:
        self.logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self._limits(number), **self.environment}
        with (self.logs / f"worker-{number}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "sftbench.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=environment,
                # Ctrl-C is for the run, which ends its processes itself.
                start_new_session=True,
            )
        worker = _Worker(number=number, stage=stage, process=process)
        self._workers[number] = worker
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _limits(self, number: int) -> dict[str, str]:
        threads = str(self.slots.num_threads)
        limits = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        # By itself MKL rounds small products by where in memory they lie, so that a run done again would differ.
        limits["MKL_CBWR"] = os.environ.get("MKL_CBWR", "AUTO")
        # Without any, a process must not find one that the keys of its steps do not know of.
        limits["CUDA_VISIBLE_DEVICES"] = ""
        if self.slots.devices:
            limits["CUDA_VISIBLE_DEVICES"] = self.slots.devices[number % len(self.slots.devices)]
        return limits

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        with worker.process.stdout as lines:
            for line in lines:
                # A process that is killed while it writes leaves half a line.
                with contextlib.suppress(ValueError):
                    self._inbox.put((worker, json.loads(line)))
        self._inbox.put((worker, None))

    def _hear(self, worker: _Worker, event: Event | None, outcomes: dict[Ref, Outcome]) -> bool:
        """Take note of what a process says; True when it may be given something to do."""
        step = worker.step
        if event is None:
            if self._workers.get(worker.number) is worker:
                del self._workers[worker.number]
            code = _ended(worker.process)
            if step is not None:
                self._died(worker, step, code, outcomes)
        elif event["event"] == "stopped":
            problem = SftbenchError(event["why"])
            problem.exit_code = event["exit_code"]
            raise problem
        elif event["event"] == "ended" and step is not None:
            worker.step = None
            outcomes[step.ref] = event["status"]
            self.on_end(step, event["status"], "")
        elif step is not None:
            self.on_event(step, event)
            return False
        return True

    def _died(self, worker: _Worker, step: Step, code: int, outcomes: dict[Ref, Outcome]) -> None:
        worker.step = None
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = f"the process doing '{step.label}' died ({cause}); its log is {self.logs / f'worker-{worker.number}.log'}"
        if self._attempts[step.ref] < ATTEMPTS:
            self.on_event(step, {"event": "log", "message": why + "; trying once more"})
            return
        outcomes[step.ref] = "died"
        self.on_end(step, "died", why)

    def _dismiss(self, worker: _Worker) -> None:
        """End a process; a GPU's memory is free when it is gone."""
        self._workers.pop(worker.number, None)
        worker.step = None
        worker.process.terminate()
        _ended(worker.process)

    def _dismiss_all(self) -> None:
        for worker in list(self._workers.values()):
            worker.process.terminate()
        for worker in list(self._workers.values()):
            self._dismiss(worker)


def _ended(process: subprocess.Popen[str]) -> int:
    """Wait for a process that is ending, by force if it takes long; its exit code."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
