"""Whether the records of a bundle agree with themselves, with each other, and with what the bundle tells of them."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.reading import read_cells
from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.positions import positions_from_text
from sftbench.publishing.layout import (
    BOARD,
    README,
    RECORDS,
    SELECTIONS,
    STEPS,
    Discrepancy,
    files_below,
    json_in,
    run_in,
)
from sftbench.publishing.manifest import is_listed, told_of
from sftbench.publishing.page import readme_of

_DERIVED = (README, "bundle.json")


def check_sealed(bundle: Path, about: Mapping[str, Any]) -> Iterator[Discrepancy]:
    """Files other than `bundle.json` tells: what the board was made from is hashed there once more."""
    sealed = about.get("sealed")
    if not isinstance(sealed, dict):
        yield Discrepancy(where="bundle.json", what="does not tell what the board was made from")
        return
    present = {
        name: path
        for name, path in files_below(bundle).items()
        if is_listed(name) and name not in _DERIVED and not name.startswith(f"{BOARD}/")
    }
    for name in sorted(set(sealed) | set(present)):
        if name not in present or name not in sealed:
            yield Discrepancy(where=name, what="is missing" if name in sealed else "is not among what was published")
        elif (found := told_of(present[name])) != sealed[name]:
            told = sealed[name].get("sha256") if isinstance(sealed[name], dict) else sealed[name]
            what = "is not what the board was made from"
            yield Discrepancy(where=name, what=what, told=told, recomputed=found["sha256"])
    try:
        fresh = readme_of(about)
    except (KeyError, TypeError) as problem:
        yield Discrepancy(where="bundle.json", what=f"lacks {problem}")
        return
    if not (bundle / README).is_file() or (bundle / README).read_bytes() != fresh.encode():
        yield Discrepancy(where=README, what="does not say what bundle.json says")


def check_records(bundle: Path, about: Mapping[str, Any]) -> tuple[list[Cell], list[Discrepancy]]:
    """The cells, and what in them or about them cannot be. Raises `UsageError` for a record that cannot be read."""
    cells = read_cells(bundle / RECORDS)
    findings = [*_about_cells(cells, about, bundle)]
    for cell in cells:
        findings += [Discrepancy(where=_name(cell), what=what) for what in _impossible(cell)]
    findings += _selections(cells, bundle)
    findings += _steps(cells, bundle)
    return cells, findings


def _about_cells(cells: list[Cell], about: Mapping[str, Any], bundle: Path) -> Iterator[Discrepancy]:
    run = run_in(bundle / RECORDS, f"{RECORDS}/run.json")
    told = run.get("num_cells")
    if told != len(cells):
        yield Discrepancy(where=f"{RECORDS}/run.json", what="number of cells", told=told, recomputed=len(cells))
    facts = {
        "num_cells": len(cells),
        "pool": dataclasses.asdict(cells[0].pool),
        "base": dataclasses.asdict(cells[0].base),
        "level": "self-reported",
        "name": run.get("name") or about.get("name"),
    }
    for name, fact in facts.items():
        if about.get(name) != fact:
            yield Discrepancy(where="bundle.json", what=name, told=about.get(name), recomputed=fact)


def _name(cell: Cell) -> str:
    return f"{cell.label}@{cell.budget}/{cell.seed}"


def _impossible(cell: Cell) -> Iterator[str]:
    """Counts and shares that no run can give."""
    chosen = cell.selection
    if chosen is not None:
        if cell.generated is None and chosen.num_rows > cell.pool.num_rows:
            yield f"{chosen.num_rows} rows were chosen from {cell.pool.num_rows}"
        if (chosen.num_planted_rows or 0) > chosen.num_rows:
            yield f"{chosen.num_planted_rows} of {chosen.num_rows} chosen rows are planted"
        if (chosen.num_planted_tokens or 0) > chosen.num_response_tokens:
            yield f"{chosen.num_planted_tokens} of {chosen.num_response_tokens} chosen tokens are planted"
        if not 0 <= chosen.trained_share <= 1:
            yield f"{chosen.trained_share} of the tokens were trained"
    for phase, spent in cell.cost.items():
        for name, value in dataclasses.asdict(spent).items():
            if value < 0:
                yield f"{phase} cost {value} {name}"
    if cell.status == "failed" and cell.failure is None:
        yield "failed without a reason"


def _selections(cells: list[Cell], bundle: Path) -> Iterator[Discrepancy]:
    """Ids against their hash and number, and against the positions in the pool that the records tell.

    The record of no single cell says which id stands where; but two selections that share a position share an id.
    """
    by_position: dict[int, list[str]] = {}
    by_id: dict[str, list[str]] = {}
    seen: set[str] = set()
    for cell in cells:
        chosen = cell.selection
        name = f"{SELECTIONS}/{chosen.key.split('/')[-1]}.json" if chosen is not None else ""
        if chosen is None or not (bundle / name).is_file():
            continue
        told = json_in(bundle / name, name)
        ids = told.get("ids")
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            yield Discrepancy(where=name, what="holds no ids")
            continue
        if len(set(ids)) != len(ids):
            yield Discrepancy(where=name, what="names a row twice")
        if len(ids) != chosen.num_rows:
            yield Discrepancy(where=name, what="number of ids", told=len(ids), recomputed=chosen.num_rows)
        if key_of(ids) != chosen.ids_hash or told.get("ids_hash") != chosen.ids_hash:
            yield Discrepancy(where=name, what="hash of the ids", told=chosen.ids_hash, recomputed=key_of(ids))
        if chosen.positions is None or chosen.key in seen:
            continue
        seen.add(chosen.key)
        for each in ids:
            by_id.setdefault(each, []).append(chosen.key)
        for position in positions_from_text(chosen.positions, num_rows=cell.pool.num_rows):
            by_position.setdefault(int(position), []).append(chosen.key)
    if Counter(map(tuple, by_id.values())) != Counter(map(tuple, by_position.values())):
        yield Discrepancy(where=SELECTIONS, what="ids and positions do not name the same rows")


def _steps(cells: list[Cell], bundle: Path) -> Iterator[Discrepancy]:
    """Keys against the identities that they are hashes of."""
    if not (bundle / STEPS).is_file():
        return
    known = {f"{step.room}/{step.key}" for cell in cells for step in cell.steps}
    for number, line in enumerate((bundle / STEPS).read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{STEPS}, line {number}"
        try:
            told = json.loads(line)
            room, key = told["ref"].split("/")
            found = key_of({"room": room, "identity": told["identity"], "parents": told["parents"]})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
            yield Discrepancy(where=where, what="is no step")
            continue
        if found != key:
            yield Discrepancy(where=where, what=f"key of {room}", told=key, recomputed=found)
        if told["ref"] not in known:
            yield Discrepancy(where=where, what=f"no record went through {told['ref']}")


def identities(bundle: Path, keys: Collection[str]) -> Iterator[dict[str, Any]]:
    """What was hashed into the keys of some steps, as far as the bundle tells it. `check_records` comes before."""
    if (bundle / STEPS).is_file():
        for line in (bundle / STEPS).read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if told["ref"].split("/")[-1] in keys:
                yield told["identity"]
