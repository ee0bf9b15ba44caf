"""From cells to board entries: the cells of one method at one budget together, and their item values as grids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.board.cells import Cell
from sftbench.board.spread import Grid
from sftbench.board.table import WIN_RATE
from sftbench.errors import UsageError

ItemValues = Mapping[str, "float | None"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """All cells of a method (with its parameters, and what it is matched to) at one budget, by seed."""

    cells: tuple[Cell, ...]

    @property
    def first(self) -> Cell:
        return self.cells[0]

    @property
    def done(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.status == "done"]

    @property
    def failed(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.status == "failed"]

    @property
    def untrained(self) -> bool:
        """The base model as it is: nothing was selected, so training noise has no way in."""
        return bool(self.done) and all(cell.selection is None for cell in self.done)


def gather(cells: Iterable[Cell]) -> list[Entry]:
    """Entries in a stable order that does not depend on file names."""
    found: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.budget, cell.method, cell.label, cell.matched_to or ""), []).append(cell)
    return [Entry(cells=tuple(sorted(found[name], key=lambda cell: cell.seed))) for name in sorted(found)]


def metric_directions(cells: Iterable[Cell]) -> dict[str, bool]:
    """Every metric that some finished cell has, by board name, and whether bigger is better.

    A board name is the metric's own, with hyphens; `EVALUATOR.METRIC` where two evaluators share it.
    """
    directions: dict[str, bool] = {}
    found = [
        (evaluator, metric, bigger)
        for cell in cells
        if cell.status == "done"
        for evaluator, evaluation in cell.evaluations.items()
        for metric, bigger in evaluation.bigger_is_better.items()
    ]
    names = board_names((evaluator, metric) for evaluator, metric, _ in found)
    for evaluator, metric, bigger in found:
        name = names[evaluator, metric]
        if directions.setdefault(name, bigger) != bigger:
            raise UsageError(f"bigger is better for '{name}' in some results and worse in others")
    return dict(sorted(directions.items()))


def board_names(metrics: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """How the board names metrics that are given as (evaluator, metric)."""
    owners: dict[str, set[str]] = {}
    given = list(metrics)
    for evaluator, metric in given:
        owners.setdefault(_plain(metric), set()).add(evaluator)
    return {
        (evaluator, metric): _plain(metric) if len(owners[_plain(metric)]) == 1 else f"{evaluator}.{_plain(metric)}"
        for evaluator, metric in given
    }


def _plain(metric: str) -> str:
    return metric.replace("_", "-")


def item_values(cell: Cell, name: str) -> ItemValues | None:
    """The values of a metric, by item; None when the cell has none."""
    if name == WIN_RATE:
        verdicts = cell.verdicts
        if verdicts is None:
            return None
        return {
            item: None if value is None else 100 * value
            for item, value in zip(verdicts.ids, verdicts.preference, strict=True)
        }
    for evaluator, evaluation in cell.evaluations.items():
        for metric, values in evaluation.items.items():
            if name in (_plain(metric), f"{evaluator}.{_plain(metric)}"):
                return dict(zip(evaluation.items_of(metric), values, strict=True))
    return None


def number_of(cell: Cell, name: str) -> float | None:
    """A metric that is a number and has no items; None when the cell has none of that name, or it failed."""
    for evaluator, evaluation in cell.evaluations.items():
        for metric, number in evaluation.numbers.items():
            if name in (_plain(metric), f"{evaluator}.{_plain(metric)}"):
                return number
    return None


def grids(entries: list[Entry], name: str, *, baseline: str | None) -> tuple[list[Grid | None], int]:
    """A grid per entry over all items that any of them has, and their number.

    Where some cell has a number alone there are no items (0): the others count with the mean of theirs.
    The win rate of the baseline against itself is 50 on every item. A win rate has training noise even
    for the untrained base: the baseline was trained.
    """
    tables = [
        {cell.seed: values for cell in entry.done if (values := item_values(cell, name)) is not None}
        for entry in entries
    ]
    if any(number_of(cell, name) is not None for entry in entries for cell in entry.done):
        return [_numbers(entry, table, name) for entry, table in zip(entries, tables, strict=True)], 0
    items = sorted({item for table in tables for values in table.values() for item in values})
    result: list[Grid | None] = []
    for entry, table in zip(entries, tables, strict=True):
        if table:
            rows = np.stack([_vector(values, items) for values in table.values()])
            result.append(Grid(seeds=tuple(table), values=rows, still=entry.untrained and name != WIN_RATE))
        elif name == WIN_RATE and items and entry.done and baseline in (entry.first.label, entry.first.method):
            result.append(Grid(seeds=(entry.done[0].seed,), values=np.full((1, len(items)), 50.0), still=True))
        else:
            result.append(None)
    return result, len(items)


def _numbers(entry: Entry, table: Mapping[int, ItemValues], name: str) -> Grid | None:
    """A number per seed: the one that was given, or the mean over items where there are any; NaN for neither."""
    found: dict[int, float] = {}
    for cell in entry.done:
        number = number_of(cell, name)
        known = [value for value in table.get(cell.seed, {}).values() if value is not None]
        found[cell.seed] = float(np.mean(known)) if number is None and known else np.nan if number is None else number
    if not np.isfinite(list(found.values())).any():
        return None
    return Grid(seeds=tuple(found), values=np.array([*found.values()])[:, None], still=entry.untrained, whole=True)


def _vector(values: ItemValues, items: list[str]) -> npt.NDArray[np.float64]:
    found = (values.get(item) for item in items)
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)
