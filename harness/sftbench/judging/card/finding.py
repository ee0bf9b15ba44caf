"""One figure of a card: what was measured on what, with its interval, the level of chance, and what was asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from sftbench.judging.resampling import Interval

Unit = Literal["%", "points", "per second", "count"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`value` with its 95 % bounds in `unit`, over `num` pairs or votes on them; None where it cannot be told,
    and `note` says why.

    `chance` is what a judge that guesses would have. `asked` tells the pairs in words.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    probe: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    num: int
    unit: Unit = "%"
    group: str = ""
    chance: float | None = None
    asked: str = ""
    note: str = ""


def percent(probe: str, measure: str, found: Interval, num: int, *, unit: Unit = "%", group: str = "",
            chance: float | None = None, asked: str = "", note: str = "") -> Finding:  # fmt: skip
    """A finding from an interval in 0 to 1, which a share cannot leave; without any pair it has no value."""
    value, low, high = (_known(100 * each) for each in (found.value, found.low, found.high))
    if unit == "%" and low is not None and high is not None:
        low, high = max(0.0, low), min(100.0, high)
    return Finding(
        probe=probe, measure=measure, value=value, low=low, high=high, num=num, unit=unit, group=group,
        chance=chance, asked=asked, note=note or ("" if num else "nothing to tell it from"),
    )  # fmt: skip


def untold(probe: str, measure: str, why: str, *, asked: str = "") -> Finding:
    """A figure that cannot be told, and why."""
    return Finding(probe=probe, measure=measure, value=None, low=None, high=None, num=0, asked=asked, note=why)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
