"""What goes into a merged board: a bundle that verifies, or the folder of a run, with its cells and its terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.reading import read_cell
from sftbench.board.table import strip_measured
from sftbench.errors import UsageError
from sftbench.judging.card.card import FILE as CARD
from sftbench.judging.card.card import FURTHER as FURTHER_CARDS
from sftbench.publishing.archive import opened
from sftbench.publishing.layout import MANIFEST, RECORDS, json_in, run_in
from sftbench.publishing.levels import RECOMPUTED, SELF_REPORTED, attestations
from sftbench.publishing.manifest import seal_of
from sftbench.publishing.terms import ComparisonTerms, terms_of
from sftbench.publishing.verify import verified_folder

METHODS = "methods.json"
CellName = tuple[str, str, str, str, int]
"""Method, label, what it is matched to, budget, seed."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A bundle, or a results folder, that goes into a merged board."""

    name: str
    cells: Mapping[CellName, tuple[Cell, str, Path]]
    terms: ComparisonTerms
    level: str
    seal: str | None
    run: Mapping[str, Any]
    cards: tuple[str, ...] = ()
    """The texts of the judge's card beside the records."""
    further_cards: tuple[str, ...] = ()
    """And of those of further judges."""
    methods: Mapping[str, Any] = field(default_factory=dict)
    """What `methods.json` tells."""
    attested: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


def source_at(path: Path, stack: ExitStack) -> Source:
    """What lies at a path, unpacked for as long as `stack` is open.

    Raises `UsageError` where that is neither bundle nor results, `VerificationError` for a bundle that does not hold.
    """
    is_bundle = path.is_file() or (path / MANIFEST).is_file()
    if not is_bundle and not (path / "run.json").is_file():
        raise UsageError(f"'{path}' is neither a bundle nor a results folder: no {MANIFEST} and no run.json")
    folder = stack.enter_context(opened(path)) if is_bundle else path
    attested: dict[tuple[str, str], frozenset[str]] = {}
    if is_bundle:
        verified_folder(folder, name=str(path))
        for each in attestations(folder)[0]:
            row = (each.label, each.budget)
            attested[row] = attested.get(row, frozenset()) | {each.name}
    records = folder / RECORDS if is_bundle else folder
    cells = {}
    for file in sorted(records.rglob("seed-*.json")):
        cell = read_cell(file)
        cells[_name(cell)] = (cell, _same_numbers(file), file)
    if not cells:
        raise UsageError(f"no records in '{path}'")
    run = run_in(records, f"{path}/run.json")
    if not isinstance(run.get("settings"), dict):
        raise UsageError(f"{path}/run.json does not tell the settings of the run")
    cards, further = (
        tuple(sorted({file.read_text(encoding="utf-8") for file in records.rglob(name)}))
        for name in (CARD, FURTHER_CARDS)
    )
    methods = records / METHODS
    return Source(
        name=str(path),
        cells=cells,
        terms=terms_of([cell for cell, _, _ in cells.values()], run, cards=cards, further_cards=further),
        level=RECOMPUTED if is_bundle else SELF_REPORTED,
        seal=seal_of(folder) if is_bundle else None,
        run=run,
        cards=cards,
        further_cards=further,
        methods=json_in(methods, f"{path}/{METHODS}") if methods.is_file() else {},
        attested=attested,
    )


def _name(cell: Cell) -> CellName:
    return (cell.method, cell.label, cell.matched_to or "", cell.budget, cell.seed)


def _same_numbers(file: Path) -> str:
    """Text that two runs of the same thing share: a record without seconds, bytes and keys of this version's steps."""
    told = strip_measured(json.loads(file.read_text(encoding="utf-8")))
    for each in ("steps", "undescribed"):
        told.pop(each, None)
    for each in ("selection", "generated"):
        if isinstance(told.get(each), dict):
            told[each].pop("key", None)
    return json.dumps(told, sort_keys=True)
