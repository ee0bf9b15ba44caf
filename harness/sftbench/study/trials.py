"""Cells as the analysis sees them: series, place on the axis, performance, and diversity of what was chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sftbench.board.cells import Cell
from sftbench.board.entries import item_values
from sftbench.budget import Budget, Unit
from sftbench.errors import UsageError
from sftbench.study.definition import Axis, Performance, Study
from sftbench.study.grid import GridPoint, written_out


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One finished cell. `x` is None for a series without a place on the axis, such as a random choice.

    `chosen` names the rows that were chosen: equal for two trainings on the same rows. `diversity` is by
    `COMPONENT:METRIC`.
    """

    series: str
    label: str
    budget: str
    seed: int
    x: float | None
    chosen: str
    performance: Mapping[str, float]
    diversity: Mapping[str, float]


def trials_of(study: Study, cells: Iterable[Cell]) -> list[Trial]:
    """The finished cells that belong to the study, in the order of its series, then as they were read."""
    points = {point.label: (series, point) for series, point in points_of(study)}
    found = []
    for cell in cells:
        if cell.label not in points or cell.status != "done" or cell.selection is None or cell.matched_to:
            continue
        series, point = points[cell.label]
        diversity = {
            f"{component}:{each.metric}": each.value
            for component, measures in cell.diversity.items()
            for each in measures
            if each.value is not None
        }
        trial = Trial(
            series=series,
            label=cell.label,
            budget=cell.budget,
            seed=cell.seed,
            x=_place(study, cell, point, diversity),
            chosen=cell.selection.ids_hash,
            performance={each.metric: _value(cell, each) for each in study.performance},
            diversity=diversity,
        )
        found.append(trial)
    order = [each.name for each in study.series]
    return sorted(found, key=lambda each: order.index(each.series))


def points_of(study: Study) -> Iterator[tuple[str, GridPoint]]:
    """Every method of the study with the name of its series."""
    for series in study.series:
        for pattern in series.methods:
            yield from ((series.name, point) for point in written_out(pattern))


UNITS: Mapping[Unit, tuple[str, float]] = {
    "rows": ("rows", 1), "share": ("% of the pool", 100), "tokens": ("response tokens", 1), "flops": ("FLOPs", 1),
    "device-seconds": ("device-seconds", 1),
}  # fmt: skip
"""How an axis names each unit of a budget, and how much of that is one of it."""


def axis_of(study: Study, budgets: Iterable[Budget]) -> Axis | None:
    """The axis of a study; one of budgets is labelled by their unit.

    Raises `UsageError` for budgets of several units, which have no place beside each other.
    """
    if study.x is None or study.x.of != "budget":
        return study.x
    units = list(dict.fromkeys(_unit_and_amount(budget)[0] for budget in budgets))
    if len(units) > 1:
        raise UsageError(
            f"the budgets of the study {study.name} share an axis, so they need one unit: {'; '.join(units)}"
        )
    return study.x.model_copy(update={"label": ", ".join(["budget", *units])})


def _unit_and_amount(budget: Budget) -> tuple[str, float]:
    name, times = UNITS[budget.unit]
    return name + (", choosing included" if budget.with_selection else ""), times * budget.amount


def _place(study: Study, cell: Cell, point: GridPoint, diversity: Mapping[str, float]) -> float | None:
    if study.x is None:
        return None
    of = study.x.of
    if of == "budget":
        return _unit_and_amount(Budget.parse(cell.budget))[1]
    if ":" in of:
        return diversity.get(of)
    if of not in point.values:
        return None
    try:
        return float(point.values[of])
    except ValueError:
        raise UsageError(
            f"'{of}={point.values[of]}' of {point.label} is no number, so it has no place on an axis"
        ) from None


def _value(cell: Cell, wanted: Performance) -> float:
    """The mean of the finite items; the baseline of win rates is level with itself."""
    values = item_values(cell, wanted.metric)
    if values is None:
        is_baseline = wanted.metric == "win-rate" and cell.label == "random"
        return 50.0 * wanted.times if is_baseline else math.nan
    finite = [value for value in values.values() if value is not None and math.isfinite(value)]
    return float(np.mean(finite)) * wanted.times if finite else math.nan
