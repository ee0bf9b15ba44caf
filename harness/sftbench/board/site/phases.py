"""What the phases of a row took of its FLOPs, as a strip."""

from __future__ import annotations

from dataclasses import dataclass

from sftbench.board.making import NOT_MAKING, PHASES
from sftbench.board.table import BoardRow

WIDTH = 600


@dataclass(frozen=True, kw_only=True)
class PhaseShare:
    """A phase in the strip, from `start` and so `wide`, with its `share` of all."""

    phase: str
    start: float
    wide: float
    share: float
    is_making: bool


def phase_strip(row: BoardRow) -> list[PhaseShare]:
    """The phases with any FLOPs, in order; none where there are fewer than two, or some FLOPs are not known."""
    spent = {phase: row.cost[phase].flops for phase in PHASES if phase in row.cost and row.cost[phase].flops}
    total = sum(spent.values())
    if row.asked or len(spent) < 2:
        return []
    stretches: list[PhaseShare] = []
    start = 0.0
    for phase, flops in spent.items():
        wide = WIDTH * flops / total
        stretches.append(
            PhaseShare(
                phase=phase,
                start=round(start, 1),
                wide=round(wide, 1),
                share=flops / total,
                is_making=phase not in NOT_MAKING,
            )
        )
        start += wide
    return stretches
