"""Toy parts that need no model: a scorer with every way of misbehaving that an executor must live with, and others."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sftbench import ChatRequest, Evaluation, Evaluator, Method, Needs, PartUse, Scorer, Scores, hookimpl, param


@dataclass(frozen=True, kw_only=True)
class ToyScorer:
    """Characters of the response, plus `add`. Each call leaves a line `PID START END` in the file `diary`."""

    name: ClassVar[str] = "toy"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    add: float = param(0.0, "added to every score")
    diary: str = param("", "file that every call adds a line to")
    seconds: float = param(0.0, "how long it takes")
    meets: int = param(0, "waits until so many calls have begun")
    kills: int = param(0, "so many first calls kill their own process")
    fails: bool = param(False, "every call raises")
    disk_full: bool = param(False, "every call writes to a full disk")
    reports: str = param("", "`nan` or `object`: a report that is no JSON; `environment`: what its process has")

    def needs(self) -> Needs:
        return Needs()

    def score(self, pool, desk):
        started = time.time()
        num_calls = self._num_calls()
        if num_calls < self.kills:
            self._write(started)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.seconds or self.meets:
            self._write(started)
            time.sleep(self.seconds)
        deadline = started + 60
        while self._num_calls() < self.meets:
            if time.time() > deadline:
                raise TimeoutError("nobody came")
            time.sleep(0.02)
        if self.fails:
            self._write(started)
            raise ValueError("the toy is broken")
        if self.disk_full:
            with open("/dev/full", "w") as stream:
                stream.write("x")
        self._write(started)
        desk.log("scored")
        reports = {"nan": {"x": float("nan")}, "object": {"x": object()}, "environment": dict(os.environ)}
        report = reports.get(self.reports, {})
        return Scores(values=np.array([len(row.response) + self.add for row in pool]), report=report)

    def _num_calls(self) -> int:
        path = Path(self.diary)
        return len(path.read_text().splitlines()) if self.diary and path.exists() else 0

    def _write(self, started: float) -> None:
        if self.diary:
            with open(self.diary, "a") as stream:
                stream.write(f"{os.getpid()} {started} {time.time()}\n")


@dataclass(frozen=True, kw_only=True)
class ToyAsker:
    """A number for every row, as a language model gives it; fails where one cannot be read."""

    name: ClassVar[str] = "toy-asker"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self) -> Needs:
        return Needs(chat=True)

    def score(self, pool, desk):
        chat = desk.chat(stand_in="the length of the response")
        if chat is None:
            return Scores(values=np.array([float(len(row.response)) for row in pool]))
        answers = chat.ask([ChatRequest(prompt=row.response) for row in pool], float)
        if any(answer.value is None for answer in answers):
            raise ValueError("not all could be read")
        return Scores(values=np.array([answer.value for answer in answers]))


@dataclass(frozen=True, kw_only=True)
class ToyEvaluator:
    """Which process measured."""

    name: ClassVar[str] = "toy-evaluator"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = False

    reports: str = param("", "`object`: a report that is no JSON")

    def needs(self) -> Needs:
        return Needs()

    def evaluate(self, heldout, responses, desk):
        pids = np.full(len(heldout), float(os.getpid()))
        report = {"x": object()} if self.reports else {}
        return Evaluation(ids=tuple(heldout.ids), items={"pid": pids}, bigger_is_better={"pid": True}, report=report)


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    return [ToyScorer, ToyAsker]


@hookimpl
def sftbench_evaluators() -> list[type[Evaluator]]:
    return [ToyEvaluator]


@hookimpl
def sftbench_methods() -> list[Method]:
    return [
        Method(
            name="toy",
            summary="the rows with the longest responses, in characters",
            scorer=PartUse(name="toy"),
            selector=PartUse(name="top"),
        )
    ]
