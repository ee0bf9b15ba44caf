"""What several sources say of one cell: the same, nearly the same, or what only one of them can have found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.making import NOT_MAKING
from sftbench.board.table import six_digits
from sftbench.errors import UsageError
from sftbench.publishing.allowance import TOLERANCE
from sftbench.publishing.reproduce import difference_of
from sftbench.publishing.sources import CellName, Source


def each_row_once(sources: Sequence[Source]) -> tuple[dict[CellName, Path], dict[CellName, int]]:
    """The record of every cell, and how many runs gave it: copies of one run, equal to the last second, are one.

    Raises `UsageError` naming both sources where two tell different numbers, further apart than reproducing allows.
    """
    chosen, independent = {}, {}
    for name, told in sorted(_claims(sources).items()):
        for one, other in combinations(told, 2):
            if _apart(one, other) is None:
                row = f"{name[1]}@{name[3]}/{name[4]}"
                different = _first_difference(one.numbers, other.numbers)
                raise UsageError(f"{one.source} and {other.source} both claim {row}, {different}")
        by_content = {_hash(each.file): each.file for each in told}
        # Not the first one given: the order on the command line must not show.
        chosen[name] = by_content[min(by_content)]
        independent[name] = len(by_content)
    return chosen, independent


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a source says of a cell."""

    source: str
    cell: Cell
    numbers: str
    file: Path


def _claims(sources: Sequence[Source]) -> dict[CellName, list[Claim]]:
    claims: dict[CellName, list[Claim]] = {}
    for source in sources:
        for name, (cell, numbers, file) in source.cells.items():
            claims.setdefault(name, []).append(Claim(source=source.name, cell=cell, numbers=numbers, file=file))
    return claims


def _apart(one: Claim, other: Claim) -> dict[str, float] | None:
    """How far apart the means of each metric are, those alone that differ; None where two claims are in conflict.

    What holds for a row that is run again holds here: the same rows chosen, and every mean within the tolerance.
    """
    if one.numbers == other.numbers:
        return {}
    if _without_values(one.numbers) != _without_values(other.numbers):
        return None
    mine, theirs = _values(one.cell), _values(other.cell)
    found = {metric: difference_of(mine[metric], theirs[metric]) for metric in mine}
    apart = {metric: abs(each["mean_here"] - each["mean_told"]) for metric, each in found.items()}
    if any(each["num_missing"] or apart[metric] > TOLERANCE for metric, each in found.items()):
        return None
    return {metric: apart[metric] for metric, each in found.items() if each["largest"]}


def _values(cell: Cell) -> dict[str, dict[str, float | None]]:
    """Every metric of a cell and every judge's preferences, by item; a number without items stands under no name."""
    found = {
        f"{name}.{metric}": dict(zip(evaluation.items_of(metric), values, strict=True))
        for name, evaluation in cell.evaluations.items()
        for metric, values in evaluation.items.items()
    }
    for name, evaluation in cell.evaluations.items():
        found |= {f"{name}.{metric}": {"": value} for metric, value in evaluation.numbers.items()}
    for number, told in enumerate(cell.judgements):
        found[f"preference.{number}"] = dict(zip(told.ids, told.preference, strict=True))
    return found


def _without_values(numbers: str) -> str:
    """A record without what another processor may round otherwise: values per item, and what is told beside them."""
    told = json.loads(numbers)
    for evaluation in (told.get("evaluations") or {}).values():
        evaluation |= {name: sorted(evaluation[name]) for name in ("items", "numbers") if name in evaluation}
        evaluation.pop("report", None)
    for verdicts in (told.get("verdicts"), *(told.get("further_verdicts") or ())):
        for each in ("preference", "columns", "report"):
            (verdicts or {}).pop(each, None)
    told["cost"] = {phase: spent for phase, spent in told["cost"].items() if phase not in NOT_MAKING}
    told.pop("diversity", None)
    return json.dumps(told, sort_keys=True)


def within_tolerance(sources: Sequence[Source]) -> dict[tuple[str, str], dict[str, Any]]:
    """Of rows that sources tell with different numbers, none too far apart: by seed, how far apart the means are."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, told in sorted(_claims(sources).items()):
        largest: dict[str, float] = {}
        for one, other in combinations(told, 2):
            for metric, apart in (_apart(one, other) or {}).items():
                largest[metric] = max(apart, largest.get(metric, 0.0))
        if largest:
            row = found.setdefault((name[1], name[3]), {"tolerance": TOLERANCE, "means_apart": {}})
            row["means_apart"][str(name[4])] = {metric: six_digits(apart) for metric, apart in largest.items()}
    return found


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _first_difference(one: str, other: str) -> str:
    """Where two records differ first, and how."""
    for path, mine, theirs in _differing(json.loads(one), json.loads(other), ""):
        return f"with different numbers: {path.lstrip('.')} is {str(mine)[:60]} and {str(theirs)[:60]}"
    return "with different content"


def _differing(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _differing(one.get(name), other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _differing(mine, theirs, f"{path}[{index}]")
    elif one != other:
        yield path, one, other
