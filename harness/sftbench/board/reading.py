"""Reading what a run wrote, one JSON file per cell: anything else than a whole cell is an error with its path."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench.board.cells import SCHEMA, Cell, CellVerdicts
from sftbench.errors import UsageError
from sftbench.positions import positions_from_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MOST = 1e30
"""No run counts or measures as much; beyond it sums and squares leave what a computer's numbers can hold."""
MOST_SEED = 2**63


def read_cells(results: Path) -> list[Cell]:
    """Every `seed-*.json` below a results folder, in the order of their paths.

    Raises `UsageError` for a folder without cells, a file that is cut off or of another form, two files
    for one cell, and cells of different pools or base models.
    """
    paths = sorted(results.rglob("seed-*.json"))
    if not paths:
        raise UsageError(
            f"no results in '{results}': expected METHOD/BUDGET/seed-N.json files there; has a run been made?"
        )
    cells = [read_cell(path) for path in paths]
    seen: dict[tuple[str, str, str | None, str, int], Path] = {}
    for cell, path in zip(cells, paths, strict=True):
        name = (cell.method, cell.label, cell.matched_to, cell.budget, cell.seed)
        if name in seen:
            what = f"it and {seen[name]} are both {cell.label} at {cell.budget}, seed {cell.seed}"
            raise UsageError(what, where=str(path))
        seen[name] = path
        for what, here, there in (
            ("pool", cell.pool, cells[0].pool),
            ("base model", cell.base, cells[0].base),
            ("suite of prompts", cell.prompts, cells[0].prompts),
        ):
            if here != there:
                told = f"has another {what} than {paths[0]}: a board compares like with like"
                raise UsageError(told, where=str(path))
    return cells


def read_cell(path: Path) -> Cell:
    """One cell file. Raises `UsageError` that names the file and the first thing wrong with it."""
    from pydantic import ValidationError

    try:
        text = path.read_bytes()
        plain = json.loads(text, object_pairs_hook=told_once)
        schema = plain.get("schema")
    except (ValueError, AttributeError, RecursionError) as problem:
        what, advice = f"cut off or not a result ({problem})", "delete it to have the cell done again"
        raise UsageError(what, where=str(path), advice=advice) from None
    except OSError as problem:
        raise UsageError(f"cannot be read ({problem.strerror})", where=str(path)) from None
    if type(schema) is not int or schema != SCHEMA:
        raise UsageError(f"result of schema {schema!r}; this version reads {SCHEMA}", where=str(path))
    try:
        cell = _form().validate_json(text, strict=True)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{place}: {first['msg']}", where=str(path)) from None
    wrong = _beyond_numbers(plain) or inconsistency(cell)
    if wrong:
        raise UsageError(wrong, where=str(path))
    return cell


def told_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for `object_pairs_hook`. Raises `ValueError` where a key occurs twice: readers differ in which
    of the two they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice[:80]}' occurs twice")
    return found


def _beyond_numbers(value: Any) -> str | None:
    """The place of a number that is not finite or beyond `MOST`, or None. Not by recursion: a stranger nests deeply."""
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        place, found = left.pop()
        if isinstance(found, dict):
            left += [(f"{place}.{name}", each) for name, each in found.items() if not isinstance(each, str)]
        elif isinstance(found, list):
            left += [(f"{place}.{index}", each) for index, each in enumerate(found) if not isinstance(each, str)]
        elif isinstance(found, int | float) and not -MOST < found < MOST:
            return f"{place.lstrip('.')}: {str(found)[:20]} is beyond {MOST:g}, which no run counts or measures"
    return None


@cache
def _form() -> TypeAdapter[Cell]:
    from pydantic import TypeAdapter

    return TypeAdapter(Cell)


def inconsistency(cell: Cell) -> str | None:
    """What in a well-formed cell contradicts itself, or None."""
    if (cell.status == "failed") != (cell.failure is not None):
        return f"status is '{cell.status}' but failure is {'given' if cell.failure else 'missing'}"
    if not 0 <= cell.seed < MOST_SEED:
        return f"seed: {cell.seed} is outside 0..2**63"
    for name, evaluation in cell.evaluations.items():
        if any(len(set(ids)) != len(ids) for ids in (evaluation.ids, *evaluation.ids_of.values())):
            return f"evaluations.{name}: an item id occurs twice"
        if sorted([*evaluation.items, *evaluation.numbers]) != sorted(evaluation.bigger_is_better):
            return f"evaluations.{name}: items and bigger_is_better do not name the same metrics"
        for metric, values in evaluation.items.items():
            if len(values) != (count := len(evaluation.items_of(metric))):
                return f"evaluations.{name}.items.{metric}: {len(values)} values for {count} ids"
    wrong = _wrong_positions(cell)
    if wrong:
        return f"selection.positions: {wrong}"
    if len({each.judge for each in cell.judgements}) != len(cell.judgements):
        return "further_verdicts: a judge occurs twice"
    return next((problem for each in cell.judgements if (problem := _wrong_verdicts(each))), None)


def _wrong_verdicts(verdicts: CellVerdicts) -> str | None:
    if len(set(verdicts.ids)) != len(verdicts.ids):
        return "verdicts: an item id occurs twice"
    if len(verdicts.preference) != len(verdicts.ids):
        return f"verdicts: {len(verdicts.preference)} preferences for {len(verdicts.ids)} ids"
    if any(value is not None and not 0 <= value <= 1 for value in verdicts.preference):
        return "verdicts: a preference outside 0..1"
    uneven = next((name for name, values in verdicts.columns.items() if len(values) != len(verdicts.ids)), None)
    return None if uneven is None else f"verdicts: columns.{uneven} has not one value per id"


def _wrong_positions(cell: Cell) -> str | None:
    if cell.selection is None or cell.selection.positions is None:
        return None
    try:
        found = positions_from_text(cell.selection.positions, num_rows=cell.pool.num_rows)
    except ValueError as problem:
        return str(problem)
    told = cell.selection.num_rows
    return None if len(found) == told else f"{len(found)} rows, but num_rows is {told}"
