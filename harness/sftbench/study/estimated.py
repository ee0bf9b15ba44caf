"""Means with intervals of every method of a study, and its paired difference to the one it is held against.

Both are the board's own estimates: items resampled, seeds by Student's distribution, differences item by item.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sftbench.board.cells import Cell
from sftbench.board.entries import Entry, gather, metric_directions
from sftbench.board.ranking import Measurements
from sftbench.board.spread import subtract
from sftbench.board.statistics import NUM_RESAMPLES, Estimate, estimate_all
from sftbench.board.table import WIN_RATE
from sftbench.study.definition import Performance, Study
from sftbench.study.trials import points_of


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """One metric of one method at one budget, in the unit of the study. `difference` is this minus `compare_with`."""

    series: str
    label: str
    budget: str
    metric: str
    estimate: Estimate
    difference: Estimate | None


def estimates_of(study: Study, cells: Iterable[Cell], *, num_resamples: int = NUM_RESAMPLES) -> list[Estimated]:
    """Estimates in the order of the study's series, budget by budget; a metric that no cell has is left out."""
    series_of = {point.label: series for series, point in points_of(study)}
    mine, baseline = _finished(study, cells)
    known = _directions(mine, baseline)
    found: list[Estimated] = []
    for budget in dict.fromkeys(cell.budget for cell in mine):
        entries = gather(cell for cell in mine if cell.budget == budget)
        for wanted in (each for each in study.performance if each.metric in known):
            measured = Measurements.of(entries, wanted.metric, bigger_is_better=known[wanted.metric], baseline=baseline)
            found += _of_metric(study, wanted, entries, measured, series_of, num_resamples)
    order = [series.name for series in study.series]
    return sorted(found, key=lambda each: order.index(each.series))


def measured(study: Study, cells: Iterable[Cell]) -> list[Performance]:
    """What of the study's performance some finished cell of it has."""
    known = _directions(*_finished(study, cells))
    return [each for each in study.performance if each.metric in known]


def _finished(study: Study, cells: Iterable[Cell]) -> tuple[list[Cell], str | None]:
    """The finished cells of the study's methods, and what their win rates are against."""
    labels = {point.label for _, point in points_of(study)}
    mine = [cell for cell in cells if cell.label in labels and not cell.matched_to and cell.status == "done"]
    return mine, next((cell.verdicts.baseline for cell in mine if cell.verdicts), None)


def _directions(cells: Sequence[Cell], baseline: str | None) -> dict[str, bool]:
    return metric_directions(cells) | ({WIN_RATE: True} if baseline else {})


def _of_metric(
    study: Study,
    wanted: Performance,
    entries: Sequence[Entry],
    measured: Measurements,
    series_of: dict[str, str],
    num_resamples: int,
) -> list[Estimated]:
    estimates = measured.estimates(num_resamples)
    differences = _differences(study, entries, measured, series_of, num_resamples)
    return [
        Estimated(
            series=series_of[entry.first.label],
            label=entry.first.label,
            budget=entry.first.budget,
            metric=wanted.metric,
            estimate=_scaled(estimates[row], wanted.times),
            difference=_scaled(differences[row], wanted.times) if row in differences else None,
        )
        for row, entry in enumerate(entries)
        if row in estimates
    ]


def _differences(
    study: Study,
    entries: Sequence[Entry],
    measured: Measurements,
    series_of: dict[str, str],
    num_resamples: int,
) -> dict[int, Estimate]:
    """By row: its difference to the first method of the series that others are held against."""
    references = [row for row, entry in enumerate(entries) if series_of[entry.first.label] == study.compare_with]
    reference = measured.grids[references[0]] if references else None
    if reference is None:
        return {}
    spreads = {
        row: spread
        for row, grid in enumerate(measured.grids)
        if grid is not None and row != references[0] and (spread := subtract(grid, reference)) is not None
    }
    made = estimate_all(
        list(spreads.values()), measured.noise, key=f"{measured.key}|study", num_resamples=num_resamples
    )
    return dict(zip(spreads, made, strict=True))


def _scaled(estimate: Estimate, times: float) -> Estimate:
    return dataclasses.replace(
        estimate,
        mean=estimate.mean * times,
        low=None if estimate.low is None else estimate.low * times,
        high=None if estimate.high is None else estimate.high * times,
    )
