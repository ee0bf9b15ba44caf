"""The metrics of one budget again, without the held-out items that stand in what was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from sftbench.board.cells import Cell, CellVerdicts, ItemMetrics
from sftbench.board.entries import Entry, item_values
from sftbench.board.ranking import Measurements
from sftbench.board.statistics import Estimate
from sftbench.board.table import WithoutHits


def estimate_without_hits(
    entries: list[Entry], directions: dict[str, bool], *, baseline: str | None, num_resamples: int
) -> dict[int, WithoutHits]:
    """By entry: every metric without the items that its own selections hit, and without those that any entry hit.

    An item is hit by an entry where the selection of any of its finished seeds has something of it. Nothing at all
    where no entry hit anything.
    """
    own = [_hit(entry) for entry in entries]
    anyone = frozenset[str]().union(*own)
    if not anyone:
        return {}

    def estimates(of: list[Entry]) -> list[dict[str, Estimate]]:
        return _estimates(of, directions, baseline=baseline, num_resamples=num_resamples)

    without_own = estimates([_without(entry, hit) for entry, hit in zip(entries, own, strict=True)])
    without_any = estimates([_without(entry, anyone) for entry in entries])
    return {
        row: WithoutHits(
            num_own=len(hit),
            num_any=len(anyone),
            own=without_own[row] if hit else {},
            common=without_any[row],
        )
        for row, hit in enumerate(own)
        if entries[row].done
    }


def _hit(entry: Entry) -> frozenset[str]:
    return frozenset(item for cell in entry.done if cell.hits is not None for item in cell.hits.ids)


def _without(entry: Entry, items: Collection[str]) -> Entry:
    return Entry(cells=tuple(_cell_without(cell, items) for cell in entry.cells)) if items else entry


def _cell_without(cell: Cell, items: Collection[str]) -> Cell:
    return dataclasses.replace(
        cell,
        evaluations={name: _metrics_without(each, items) for name, each in cell.evaluations.items()},
        verdicts=_verdicts_without(cell.verdicts, items) if cell.verdicts is not None else None,
    )


def _metrics_without(metrics: ItemMetrics, items: Collection[str]) -> ItemMetrics:
    def kept(ids: tuple[str, ...], values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        return tuple(value for item, value in zip(ids, values, strict=True) if item not in items)

    def left(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(item for item in ids if item not in items)

    return dataclasses.replace(
        metrics,
        ids=left(metrics.ids),
        items={name: kept(metrics.items_of(name), each) for name, each in metrics.items.items()},
        ids_of={name: left(ids) for name, ids in metrics.ids_of.items()},
        numbers={},  # nobody knows what they would be on fewer items
    )


def _verdicts_without(verdicts: CellVerdicts, items: Collection[str]) -> CellVerdicts:
    kept = [place for place, item in enumerate(verdicts.ids) if item not in items]
    return dataclasses.replace(
        verdicts,
        ids=tuple(verdicts.ids[place] for place in kept),
        preference=tuple(verdicts.preference[place] for place in kept),
        columns={name: tuple(each[place] for place in kept) for name, each in verdicts.columns.items()},
    )


def _estimates(
    entries: list[Entry], directions: dict[str, bool], *, baseline: str | None, num_resamples: int
) -> list[dict[str, Estimate]]:
    """Of each entry, its metrics by name."""
    found: list[dict[str, Estimate]] = [{} for _ in entries]
    for name, bigger in directions.items():
        measured = Measurements.of(entries, name, bigger_is_better=bigger, baseline=baseline)
        for row, estimate in measured.estimates(num_resamples).items():
            # What was left out of this entry alone did not fail.
            found[row][name] = dataclasses.replace(estimate, num_failed_items=_num_failed(entries[row], name))
    return found


def _num_failed(entry: Entry, name: str) -> int:
    tables = [values for cell in entry.done if (values := item_values(cell, name)) is not None]
    return sum(value is None for values in tables for value in values.values())
