"""How fast a step goes, and how long it still takes: told when enough of it was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sftbench.reporting import Event

SEEN_SECONDS = 10.0
SEEN_SHARE = 0.01
ENOUGH_SECONDS = 60.0
"""No estimate before so many seconds, nor before such a share is done, unless it has gone on for a minute."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Of one count in a step, which may have several one after another: how much was done when it was first heard of.

    What a step does before it counts, such as loading a model, is not in the rate.
    """

    unit: str
    total: int
    done_at_first: int
    began: float
    done: int
    now: float

    @classmethod
    def after(cls, before: Pace | None, event: Event, now: float) -> Pace:
        """With what a step tells at the time `now`; another count begins with less done, another unit or total."""
        done, total, unit = event["done"], event["total"], event["unit"]
        if before is None or (before.unit, before.total) != (unit, total) or done < before.done:
            return cls(unit=unit, total=total, done_at_first=done, began=now, done=done, now=now)
        return replace(before, done=done, now=now)

    @property
    def rate(self) -> str:
        """As `3.2 row/s`; empty where nothing was seen to be done."""
        return f"{self._per_second:.3g} {self.unit}/s" if self._per_second else ""

    @property
    def left(self) -> str:
        """As `40 s left`; empty while it would be a guess."""
        seconds = self.now - self.began
        enough = seconds >= ENOUGH_SECONDS or (seconds >= SEEN_SECONDS and self.done >= SEEN_SHARE * self.total)
        if not enough or not self._per_second:
            return ""
        return f"{_duration((self.total - self.done) / self._per_second)} left"

    @property
    def _per_second(self) -> float:
        seconds = self.now - self.began
        return (self.done - self.done_at_first) / seconds if seconds > 0 else 0.0


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
