"""What a working process tells the run while it works: progress and log lines, as JSON events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
Emit = Callable[[Event], None]


@dataclass
class _Counter:
    emit: Emit
    label: str
    total: int
    unit: str
    done: int = 0
    told: float = 0.0

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        now = time.monotonic()
        # A person cannot read faster, and the pipe is not for a million lines.
        if now - self.told >= 0.2 or self.done >= self.total:
            self.told = now
            self.tell()

    def tell(self) -> None:
        self.emit({"event": "progress", "label": self.label, "done": self.done, "total": self.total, "unit": self.unit})


@dataclass(frozen=True)
class Reporter:
    """Turns progress and log calls into events for `emit`."""

    emit: Emit

    @contextmanager
    def progress(self, label: str, total: int, unit: str) -> Iterator[_Counter]:
        counter = _Counter(self.emit, label, total, unit)
        counter.tell()
        yield counter

    def log(self, message: str) -> None:
        self.emit({"event": "log", "message": message})


def to_line(event: Event) -> str:
    """One event as one line of text."""
    return json.dumps(event, ensure_ascii=True)
