"""The plan of a run as its records tell it: the steps of every room, and how many of them several cells share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sftbench.board.cells import Cell


@dataclass(frozen=True, kw_only=True)
class PlannedRoom:
    """The steps of a room: `num_steps` different ones that cells named `num_uses` times, `num_shared` of them in more
    than one cell. `parts` did them, each with its number of steps, the busiest first."""

    room: str
    num_steps: int
    num_uses: int
    num_shared: int
    parts: tuple[tuple[str, int], ...]


def plan_of(cells: Iterable[Cell]) -> list[PlannedRoom]:
    """A line per room, in the order in which the cells come to them. A step is one key, however many cells need it."""
    uses: dict[str, Counter[str]] = {}
    parts: dict[str, dict[str, str]] = {}
    for cell in cells:
        for step in {(each.room, each.key): each for each in cell.steps}.values():
            uses.setdefault(step.room, Counter())[step.key] += 1
            parts.setdefault(step.room, {})[step.key] = step.part
    return [
        PlannedRoom(
            room=room,
            num_steps=len(counted),
            num_uses=counted.total(),
            num_shared=sum(times > 1 for times in counted.values()),
            parts=tuple(sorted(Counter(filter(None, parts[room].values())).items(), key=lambda each: (-each[1], each))),
        )
        for room, counted in uses.items()
    ]
