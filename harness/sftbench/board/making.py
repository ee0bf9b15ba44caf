"""What it cost to make a model, and which methods and random rows nothing cheaper beats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sftbench.board.cells import Spent
from sftbench.board.statistics import Estimate
from sftbench.board.table import WIN_RATE, Board, BoardRow, Cost

PHASES = ("selecting", "generating", "training", "evaluating", "judging")
"""All phases, in order. Records from before generating and judging were told apart have them in their neighbours."""
NOT_MAKING = ("evaluating", "judging")
"""Phases that are no part of what a model costs to make."""
CONTROL = "random-compute"
"""The control that is random rows with the total compute of a method."""
SIZES_OF_RANDOM = ("random-tokens", CONTROL)
"""Controls that are random rows of another size. Those matched in length are random in each tenth alone."""


def phases_of(rows: Iterable[BoardRow]) -> list[str]:
    """The phases that any of the rows went through, in order."""
    found = {phase: None for row in rows for phase in row.cost}
    return [phase for phase in PHASES if phase in found] + [phase for phase in found if phase not in PHASES]


def making_flops(row: BoardRow) -> float | None:
    """FLOPs of choosing, generating and training; None where an endpoint was asked, whose FLOPs nobody knows."""
    return None if row.asked or not row.cost else flops_before_evaluating(row.cost)


def flops_before_evaluating(cost: Mapping[str, Cost] | Mapping[str, Spent]) -> float:
    """The sum over the phases that make a model."""
    return sum(spent.flops for phase, spent in cost.items() if phase not in NOT_MAKING)


def estimate_of(row: BoardRow, metric: str) -> Estimate | None:
    """A metric of a row, the win rate among them."""
    return row.win_rate if metric == WIN_RATE else row.metrics.get(metric)


def front(board: Board, budget: str) -> list[BoardRow]:
    """The rows on the Pareto front of a budget, by cost: the best that is to be had for so much, by the mean.

    It is over methods and all plain random rows: without controls matched in lengths, and what has no known cost.
    """
    sign = 1 if board.bigger_is_better.get(board.sort_metric, True) else -1
    rows = [row for row in board.of(budget) if may_be_on_front(row)]
    known = [
        (index, cost, sign * found.mean)
        for index, row in enumerate(rows)
        if (cost := making_flops(row)) is not None and (found := estimate_of(row, board.sort_metric)) is not None
    ]
    return [rows[index] for index in unbeaten(known)]


def may_be_on_front(row: BoardRow) -> bool:
    """Whether a row is no matched control, or one that is plain random rows of another size."""
    return row.matched_to is None or row.method in SIZES_OF_RANDOM


def unbeaten(points: Iterable[tuple[int, float, float]]) -> list[int]:
    """Of points (name, cost, goodness) those that none is as good as at no more cost and better in one; by cost."""
    found = []
    best = -math.inf
    for name, _, goodness in sorted(points, key=lambda each: (each[1], -each[2], each[0])):
        if goodness > best:
            found.append(name)
            best = goodness
    return found
