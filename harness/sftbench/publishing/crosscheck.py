"""Whether the records of a bundle agree with themselves, with each other, and with what the bundle tells of them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.reading import read_cells, told_once
from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.judging.card.keeping import judge_identity
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
    """Counts, shares and keys that no run can give."""
    yield from _negative(cell)
    yield from _impossible_hits(cell)
    chosen = cell.selection
    if chosen is not None:
        if chosen.key not in {f"{step.room}/{step.key}" for step in cell.steps}:
            yield f"its selection {chosen.key} is none of its steps"
        among = cell.pool.num_response_tokens
        if cell.generated is None and among is not None and chosen.num_response_tokens > among:
            yield f"{chosen.num_response_tokens} tokens were chosen from {among}"
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


def _negative(cell: Cell) -> Iterator[str]:
    counted = {"pool": cell.pool, "selection": cell.selection, "hits": cell.hits, "prompts": cell.prompts}
    for name, part in counted.items():
        for what, value in dataclasses.asdict(part).items() if part is not None else ():
            if what.startswith("num_") and value is not None and value < 0:
                yield f"{name}: {what} is {value}"


def _impossible_hits(cell: Cell) -> Iterator[str]:
    """The step that looked for hits is none of the cell's: no number rests on it."""
    hits, chosen = cell.hits, cell.selection
    if hits is None:
        return
    if re.fullmatch(r"contamination/[0-9a-f]{64}", hits.key) is None:
        yield f"its hits were found in {hits.key[:80]!r}, which is no step that looks for them"
    if chosen is None or hits.num_rows > chosen.num_rows:
        yield f"{hits.num_rows} of {chosen.num_rows if chosen else 0} chosen rows have something of held-out items"
    on_heldout = [each for each in cell.evaluations.values() if each.items and not each.ids_of]
    listed = [each.ids for each in on_heldout] + [each.ids for each in cell.judgements]
    known = {item for ids in listed for item in ids}
    # Evaluators with items of their own do not tell the held-out ones.
    other = next((item for item in hits.ids if item not in known), None) if known else None
    if other is not None:
        yield f"'{other[:80]}', of which rows have something, is no item that was evaluated"
    if len(set(hits.ids)) < len(hits.ids):
        yield "an item of which rows have something is named twice"


def _selections(cells: list[Cell], bundle: Path) -> Iterator[Discrepancy]:
    """Ids against their hash and number, and against the positions in the pool that the records tell.

    The record of no single cell says which id stands where; but two selections that share a position share an id.
    """
    named = {_ids_of(cell.selection.key) for cell in cells if cell.selection is not None}
    there = [f"{SELECTIONS}/{name}" for name in files_below(bundle / SELECTIONS)]
    yield from (Discrepancy(where=name, what="is of no selection of a record") for name in there if name not in named)
    by_position: dict[int, list[str]] = {}
    by_id: dict[str, list[str]] = {}
    seen: set[str] = set()
    for cell in cells:
        chosen = cell.selection
        name = _ids_of(chosen.key) if chosen is not None else ""
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


def _ids_of(key: str) -> str:
    """The file with the ids of a selection."""
    return f"{SELECTIONS}/{key.split('/')[-1]}.json"


def _steps(cells: list[Cell], bundle: Path) -> Iterator[Discrepancy]:
    """Keys against the identities that they are hashes of, and judges against the identities of their steps."""
    if not (bundle / STEPS).is_file():
        return
    known = {f"{step.room}/{step.key}" for cell in cells for step in cell.steps}
    judges: dict[str, Mapping[str, Any]] = {}
    for number, line in enumerate(_step_lines(bundle), start=1):
        where = f"{STEPS}, line {number}"
        try:
            told = json.loads(line, object_pairs_hook=told_once)
            room, key = told["ref"].split("/")
            if room == "verdicts":
                judges[key] = judge_identity(told["identity"])
            found = key_of({"room": room, "identity": told["identity"], "parents": told["parents"]})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
            yield Discrepancy(where=where, what="is no step")
            continue
        if found != key:
            yield Discrepancy(where=where, what=f"key of {room}", told=key, recomputed=found)
        if told["ref"] not in known:
            yield Discrepancy(where=where, what=f"no record went through {told['ref']}")
    for cell in cells:
        judging = [step.key for step in cell.steps if step.room == "verdicts"]
        known_here = [judges[key] for key in judging if key in judges]
        # Provenance that names places was left out: only where all of it is there does it speak against a record.
        for each in cell.judgements if len(known_here) == len(judging) > 0 else ():
            if each.judged_by and each.judged_by not in known_here:
                what = f"{each.judge} was judged by what made none of its steps"
                yield Discrepancy(where=_name(cell), what=what)


def _step_lines(bundle: Path) -> list[str]:
    """By line feeds alone, since text may hold other separators; what is no UTF-8 makes a line that is no step."""
    text = (bundle / STEPS).read_bytes().decode("utf-8", "replace")
    return text.removesuffix("\n").split("\n")


def identities(bundle: Path, keys: Collection[str]) -> Iterator[dict[str, Any]]:
    """What was hashed into the keys of some steps, as far as the bundle tells it. `check_records` comes before."""
    if (bundle / STEPS).is_file():
        for line in _step_lines(bundle):
            told = json.loads(line)
            if told["ref"].split("/")[-1] in keys:
                yield told["identity"]
