"""Who may ask now: many requests at a time, or one alone while all others wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Entrance:
    """Lets threads in together, or one by itself; whoever is to be alone has the right of way."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _inside: int = 0
    _waiting: int = 0
    _has_one: bool = False

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """Inside with others, once nobody is alone or about to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._has_one and not self._waiting)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody new comes in among others; those inside may finish."""
        with self._changed:
            self._waiting += 1
        try:
            yield
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside with nobody else; to be entered where the entrance is `closed`, by one who has left the others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._has_one and not self._inside)
            self._has_one = True
        try:
            yield
        finally:
            with self._changed:
                self._has_one = False
                self._changed.notify_all()
