"""The two sides of a comparison: selections of a run, out of its records and its store, or rows in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sftbench import shelf
from sftbench.board.cells import Cell
from sftbench.board.entries import Entry, gather
from sftbench.board.reading import read_cells
from sftbench.errors import UsageError, unknown_name
from sftbench.pools.files import SUFFIXES
from sftbench.positions import positions_from_text
from sftbench.rooms import Pool, Ragged, Row
from sftbench.store import Store

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """What only the store (or a file) has of a selection: its rows, best first, the pool that they are from, the
    held-out rows, what its tokens are for, and how long a training row may be."""

    rows: Sequence[Row]
    pool: Pool | None = None
    heldout: Pool | None = None
    token_labels: Ragged | None = None
    max_length: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedSelection:
    """A selection under a name. `entry` are all cells of its method at its budget, `cell` the one that is looked at.

    `missing` says what could not be found, and what would bring it.
    """

    name: str
    entry: Entry | None = None
    cell: Cell | None = None
    texts: Texts | None = None
    missing: tuple[str, ...] = field(default=())

    @property
    def positions(self) -> Ints | None:
        """Where its rows stand in the pool of the run, rising; None where that is not known."""
        chosen = self.cell.selection if self.cell else None
        if self.cell is None or chosen is None or chosen.positions is None:
            return None
        return positions_from_text(chosen.positions, num_rows=self.cell.pool.num_rows)

    @property
    def ids(self) -> tuple[str, ...] | None:
        """Its rows by rank; None without texts."""
        return tuple(row.id for row in self.texts.rows) if self.texts else None


def is_file(name: str) -> bool:
    """Whether a side is named as a file of rows."""
    return name.endswith(SUFFIXES) and Path(name).expanduser().is_file()


def is_folder(name: str) -> bool:
    """Whether a side is named as a folder of records."""
    return Path(name).expanduser().is_dir() and any(Path(name).expanduser().rglob("seed-*.json"))


def cells_of(name: str, results: Path | None) -> list[Cell]:
    """The cells among which a side is looked for."""
    if is_folder(name):
        return read_cells(Path(name).expanduser())
    if results is None:
        raise UsageError(f"--results is missing: the folder of the run of which '{name}' is a method")
    return read_cells(results)


def entry_of(cells: Sequence[Cell], name: str, *, budget: str | None, is_named: bool) -> Entry:
    """The cells of one method at one budget. Raises `UsageError` naming what there is, for an unknown or unclear name.

    `is_named` is False where the folder alone says which method is meant.
    """
    mine = [cell for cell in cells if not is_named or name in (_full_name(cell), cell.label)]
    mine = mine or [cell for cell in cells if cell.method == name]
    if not mine:
        raise unknown_name("method of this run", name, {_full_name(cell) for cell in cells})
    labels = sorted({_full_name(cell) for cell in mine})
    if len(labels) > 1:
        raise UsageError(f"'{name}' is several: {', '.join(labels)}; name one of them")
    budgets = sorted({cell.budget for cell in mine})
    if budget is None and len(budgets) > 1:
        raise UsageError(f"{name} was run at {', '.join(budgets)}; say which with --budget")
    if budget is not None and budget not in budgets:
        raise unknown_name("budget of this method", budget, budgets)
    (entry,) = gather(cell for cell in mine if budget in (None, cell.budget))
    return entry


def _full_name(cell: Cell) -> str:
    matched = cell.matched_to
    return cell.label if not matched or matched in cell.label else f"{cell.label} matched to {matched}"


def side_of_run(entry: Entry, *, seed: int, store: Store) -> NamedSelection:
    """One seed of a method, with its texts where the store still has them."""
    cell = next((each for each in entry.cells if each.seed == seed), None)
    name = _full_name(entry.first)
    if cell is None:
        known = ", ".join(str(each.seed) for each in entry.cells)
        raise UsageError(f"{name} has no seed {seed}; it has {known}")
    if cell.selection is None:
        told = "failed" if cell.status == "failed" else "trains on nothing"
        return NamedSelection(
            name=name, entry=entry, cell=cell, missing=(f"{name} {told}, so there is no selection of it",)
        )
    found = _from_store(cell, store)
    side = NamedSelection(name=name, entry=entry, cell=cell)
    return replace(side, texts=found) if isinstance(found, Texts) else replace(side, missing=(f"{name}: {found}",))


def side_of_file(name: str, *, pool: Pool) -> NamedSelection:
    """Rows in a file, in its order."""
    return NamedSelection(name=Path(name).name, texts=Texts(rows=list(pool)))


def _from_store(cell: Cell, store: Store) -> Texts | str:
    """The texts of a selection, or what the store lacks of them."""
    assert cell.selection is not None
    record = store.record_of(cell.selection.key)
    if record is None:
        return (
            f"{cell.selection.key[:26]}… is not in the store {store.root}, so rows and their texts are not known; "
            "run again, or name the store with --store"
        )
    parents: Any = record.payload["parents"]
    folder = store.folder_of(parents["pool"])
    if not (folder / shelf.POOL_ROWS).exists():
        return f"the pool that it chose from is no longer in the store {store.root}; run again"
    pool = shelf.load_pool(folder, parents["pool"])
    selection = shelf.load_selection(store.folder_of(cell.selection.key))
    return Texts(
        rows=pool.take([pool.index_of[row_id] for row_id in selection.ids]),
        pool=pool,
        heldout=_heldout(cell, store),
        token_labels=selection.token_labels,
        max_length=_max_length(cell, store),
    )


def _heldout(cell: Cell, store: Store) -> Pool | None:
    parents = _identity(cell, store, "evaluation", what="parents")
    ref = parents.get("pool")
    folder = store.folder_of(ref) if isinstance(ref, str) else None
    return shelf.load_pool(folder, str(ref)) if folder and (folder / shelf.POOL_ROWS).exists() else None


def _max_length(cell: Cell, store: Store) -> int | None:
    found = _identity(cell, store, "lengths", what="identity").get("max_length")
    return found if isinstance(found, int) else None


def _identity(cell: Cell, store: Store, room: str, *, what: str) -> Mapping[str, Any]:
    """The identity, or the parents, of the first step of a room that the store still has."""
    for step in cell.steps:
        record = store.find(step.room, step.key) if step.room == room else None
        if record is not None:
            told: Any = record.identity if what == "identity" else record.payload.get("parents", {})
            return told if isinstance(told, Mapping) else {}
    return {}
