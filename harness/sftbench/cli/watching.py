"""Progress for a person: live bars with rate and remaining time on a terminal, plain lines otherwise. All on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sftbench.cli.pace import Pace
from sftbench.executors.local import Outcome
from sftbench.plan import Ref, Step
from sftbench.record import Record
from sftbench.reporting import Event

PLAIN_SECONDS = 10.0
"""Without a terminal, a running step says how far it is no more often than this."""
QUIET_SECONDS = 2.0
"""Steps shorter than this get no line of their own without a terminal."""


class Watching:
    """Hears what a run does and shows it. Why a step failed is left to the verb itself where that ends with it."""

    def __init__(self, *, tells_why: bool = True) -> None:
        self._tells_why = tells_why
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._tasks: dict[Ref, TaskID] = {}
        self._started: dict[Ref, float] = {}
        self._told: dict[Ref, float] = {}
        self._paces: dict[Ref, Pace] = {}
        self._overall: TaskID | None = None
        self._num_done = self._num_steps = 0

    def __enter__(self) -> Watching:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def planned(self, num_steps: int, num_known: int) -> None:
        self._num_steps, self._num_done = num_steps, num_known
        self._say(f"{num_steps} steps, {num_known} of them in the store already")
        if self._overall is not None:
            self._progress.remove_task(self._overall)
        self._overall = self._progress.add_task("all steps", total=num_steps, count="", rate="", left="")
        self._show_overall()

    def event(self, step: Step, event: Event) -> None:
        if event["event"] == "started":
            self._started[step.ref] = self._told[step.ref] = time.monotonic()
            if self._live:
                self._tasks[step.ref] = self._progress.add_task(
                    escape(step.label), total=None, count="", rate="", left=""
                )
        elif event["event"] == "progress":
            self._advance(step, event)
        elif event["event"] == "log":
            self._say(event["message"])

    def _advance(self, step: Step, event: Event) -> None:
        pace = self._paces[step.ref] = Pace.after(self._paces.get(step.ref), event, time.monotonic())
        count = f"{event['done']}/{event['total']} {event['unit']}"
        if step.ref in self._tasks:
            self._progress.update(
                self._tasks[step.ref], total=event["total"], completed=event["done"], count=count, rate=pace.rate,
                left=pace.left,
            )  # fmt: skip
        elif not self._live and time.monotonic() - self._told.get(step.ref, 0) > PLAIN_SECONDS:
            self._told[step.ref] = time.monotonic()
            self._say(f"  {step.label}: {', '.join(filter(None, (count, pace.rate, pace.left)))}")

    def ended(self, step: Step, outcome: Outcome, why: str, record: Record | None) -> None:
        self._num_done += 1
        if step.ref in self._tasks:
            self._progress.remove_task(self._tasks.pop(step.ref))
        self._show_overall()
        seconds = time.monotonic() - self._started.get(step.ref, time.monotonic())
        if outcome == "done":
            if seconds > QUIET_SECONDS:
                self._say(f"[{self._num_done}/{self._num_steps}] {step.label}: {seconds:.1f} s")
        else:
            failure = record.failure if record is not None else None
            reason = f": {failure.message if failure else why}" if self._tells_why else ""
            self._say(f"[{self._num_done}/{self._num_steps}] {step.label} FAILED{reason}")

    def _show_overall(self) -> None:
        if self._overall is not None:
            count = f"{self._num_done}/{self._num_steps} steps"
            self._progress.update(self._overall, completed=self._num_done, count=count)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Silent:
    """Hears everything and says nothing."""

    def planned(self, num_steps: int, num_known: int) -> None: ...
    def event(self, step: Step, event: Event) -> None: ...
    def ended(self, step: Step, outcome: Outcome, why: str, record: Record | None) -> Any: ...
