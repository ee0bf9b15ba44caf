"""What a row trained on, what it cost and what failed: means over its finished seeds, without any statistics."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from sftbench.board.cells import Cell, Chosen, PoolFacts
from sftbench.board.making import PHASES
from sftbench.board.table import Cost, FailedSeed, Training


def failures_of(cells: list[Cell]) -> tuple[FailedSeed, ...]:
    """The failed ones among the cells of a row."""
    return tuple(
        FailedSeed(seed=cell.seed, step=cell.failure.step, error=cell.failure.error, message=cell.failure.message)
        for cell in cells
        if cell.failure is not None
    )


def undescribed_of(cells: list[Cell]) -> tuple[FailedSeed, ...]:
    """Why the diversity of what some of these cells chose could not be measured."""
    return tuple(
        FailedSeed(seed=cell.seed, step=failure.step, error=failure.error, message=failure.message)
        for cell in cells
        for failure in cell.undescribed.values()
    )


def costs_of(cells: list[Cell]) -> dict[str, Cost]:
    """The mean cost of each phase; memory is the largest peak."""
    costs: dict[str, Cost] = {}
    for phase in PHASES + tuple(sorted({phase for cell in cells for phase in cell.cost} - set(PHASES))):
        spent = [cell.cost[phase] for cell in cells if phase in cell.cost]
        if spent:
            amounts = {each.name: [getattr(cost, each.name) for cost in spent] for each in fields(Cost)}
            means = {name: float(np.mean(values)) for name, values in amounts.items()}
            costs[phase] = Cost(**{**means, "peak_memory_bytes": max(amounts["peak_memory_bytes"])})
    return costs


def training_of(cells: list[Cell]) -> Training | None:
    """Sizes of the selections and how much of them is planted; None when nothing was selected."""
    chosen = [cell.selection for cell in cells if cell.selection is not None]
    if not chosen:
        return None
    shares = [_planted_shares(selection, cells[0].pool) for selection in chosen]
    means = [
        None if None in column else float(np.mean(np.array(column, float))) for column in zip(*shares, strict=True)
    ]
    return Training(
        num_rows=float(np.mean([each.num_rows for each in chosen])),
        num_response_tokens=float(np.mean([each.num_response_tokens for each in chosen])),
        trained_tokens=float(np.mean([_trained_tokens(each) for each in chosen])),
        planted_row_share=means[0],
        planted_rows_let_in=means[1],
        planted_token_share=means[2],
        planted_tokens_let_in=means[3],
        short_of_budget=any(each.status != "full" for each in chosen),
    )


def _trained_tokens(selection: Chosen) -> float:
    return selection.num_response_tokens * selection.trained_share


def _planted_shares(selection: Chosen, pool: PoolFacts) -> tuple[float | None, ...]:
    """Planted rows: share of the selection, share of all planted ones; then the same for tokens."""
    shares: list[float | None] = []
    for planted, size, planted_in_pool in (
        (selection.num_planted_rows, selection.num_rows, pool.num_planted),
        (selection.num_planted_tokens, _trained_tokens(selection), pool.num_planted_tokens),
    ):
        if planted is None or not planted_in_pool:
            shares += [None, None]
        else:
            shares += [planted / size if size else None, planted / planted_in_pool]
    return tuple(shares)
