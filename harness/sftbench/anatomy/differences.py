"""The paired difference of every metric between two methods, by the statistics of the board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sftbench.anatomy.sides import NamedSelection
from sftbench.board.cells import Cell
from sftbench.board.entries import gather, metric_directions
from sftbench.board.ranking import Measurements
from sftbench.board.spread import subtract
from sftbench.board.statistics import FAMILY_ERROR, NUM_RESAMPLES, estimate_all, p_values
from sftbench.board.table import WIN_RATE
from sftbench.board.tiers import seeds_to_tell


def metric_differences(first: NamedSelection, second: NamedSelection, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Of each metric: both means, and the difference (first minus second) on the same items and seeds with interval
    and p. Training noise is learnt from all methods of the run at this budget, as on the board; p is not adjusted.
    `seeds_to_tell` is how many seeds in all would bring p to 5 % if the difference stays, where seeds alone can."""
    if first.entry is None or second.entry is None or first.entry.first.budget != second.entry.first.budget:
        return []
    entries = gather(cell for cell in cells if cell.budget == first.entry.first.budget)
    names = [_name(entry.first) for entry in entries]
    one, other = names.index(_name(first.entry.first)), names.index(_name(second.entry.first))
    baseline = next((cell.verdicts.baseline for cell in cells if cell.verdicts), None)
    directions = metric_directions(cells) | ({WIN_RATE: True} if baseline else {})
    found = []
    for name, bigger in directions.items():
        measured = Measurements.of(entries, name, bigger_is_better=bigger, baseline=baseline)
        grids = measured.grids[one], measured.grids[other]
        spread = subtract(grids[0], grids[1]) if grids[0] is not None and grids[1] is not None else None
        if spread is None:
            continue
        key = f"{measured.key}|{names[one]} minus {names[other]}"
        (estimate,) = estimate_all([spread], measured.noise, key=key, num_resamples=NUM_RESAMPLES)
        (p,) = p_values([spread], measured.noise)
        needed = seeds_to_tell(spread, measured.noise, num_pairs=1) if p > FAMILY_ERROR else None
        found.append(
            {
                "metric": name,
                "bigger_is_better": bigger,
                "a": measured.spreads[one].mean,
                "b": measured.spreads[other].mean,
                "difference": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "p": float(p),
                "num_seeds": estimate.num_seeds,
                "num_items": estimate.num_items,
                "seeds_to_tell": needed,
            }
        )
    return found


def _name(cell: Cell) -> tuple[str, str, str | None]:
    return (cell.method, cell.label, cell.matched_to)
