"""What lies in a results folder, for the pages: the cells by row with their files, and what the run tells of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sftbench.board.cells import Cell
from sftbench.board.reading import read_cells
from sftbench.board.site.hostile import file_name
from sftbench.board.table import BoardRow
from sftbench.errors import UsageError

Told = TypeVar("Told")


class Loose(BaseModel):
    """Leaves out what it does not know: what a run tells of itself may grow."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Parameter(Loose):
    """A parameter of a method's part."""

    parameter: str
    part: str = ""
    strategy: str = ""
    default: Any = None
    about: str = ""


class Card(Loose):
    """What a method is, as its plugin told when the run was written."""

    about: str = ""
    paper: str = ""
    fidelity: dict[str, str] = {}
    deviations: tuple[str, ...] = ()
    parts: dict[str, str] = {}
    strategies: dict[str, dict[str, str]] = {}
    parameters: tuple[Parameter, ...] = ()


class RunFacts(Loose):
    """What `run.json` tells."""

    name: str = ""
    num_cells: int | None = None
    given: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class Varied(Loose):
    """What a study varies."""

    label: str = ""


class StudyFacts(Loose):
    """What `study.json` tells people."""

    name: str = ""
    about: str = ""
    paper: str = ""
    notes: tuple[str, ...] = ()
    x: Varied = Varied()


RowName = tuple[str, str, str]
"""Method, label, and what it is matched to: what a row is called at every budget."""


@dataclass(frozen=True, kw_only=True)
class CellFile:
    """A cell, and its file relative to the results folder, with forward slashes."""

    path: str
    cell: Cell


@dataclass(frozen=True, kw_only=True)
class Records:
    """A results folder. Without `run.json`, `methods.json` or `study.json` there is nothing about these.

    `home` is the folder as seen from that of the site; None where the two do not lie beside each other.
    """

    cells: Mapping[RowName, tuple[CellFile, ...]]
    run: RunFacts
    methods: Mapping[str, Card]
    study: StudyFacts | None
    home: str | None

    def of(self, name: RowName, budget: str) -> list[CellFile]:
        """The cells of one row of the board, by seed."""
        return sorted(
            (each for each in self.cells.get(name, ()) if each.cell.budget == budget), key=lambda each: each.cell.seed
        )


def read_records(results: Path, out: Path) -> Records:
    """Everything below `results`, for a site in the folder `out`. Raises `UsageError` for files that cannot be read."""
    found: dict[RowName, list[CellFile]] = {}
    for path, cell in zip(sorted(results.rglob("seed-*.json")), read_cells(results), strict=True):
        file = CellFile(path=path.relative_to(results).as_posix(), cell=cell)
        found.setdefault((cell.method, cell.label, cell.matched_to or ""), []).append(file)
    return Records(
        cells={name: tuple(files) for name, files in sorted(found.items())},
        run=_told(results / "run.json", RunFacts) or RunFacts(),
        methods=_told(results / "methods.json", dict[str, Card]) or {},
        study=_told(results / "study.json", StudyFacts),
        home=_beside(results, out),
    )


def row_name(row: BoardRow) -> RowName:
    """What a row of the board is called at every budget."""
    return row.method, row.label, row.matched_to or ""


def page_names(names: list[RowName]) -> dict[RowName, str]:
    """A file name per row, without its ending; no two are the same, also where letters do not differ by case alone."""
    taken: dict[str, RowName] = {}
    found: dict[RowName, str] = {}
    for name in names:
        method, label, matched = name
        plain = file_name(label if not matched or matched in label else f"{label}-{matched}")
        while plain.lower() in taken:
            plain = file_name(f"{plain} {method} {len(taken)}")
        taken[plain.lower()] = name
        found[name] = plain
    return found


def _told(path: Path, form: type[Told]) -> Told | None:
    """What a file beside the records tells; None where there is none."""
    try:
        return TypeAdapter(form).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise UsageError(f"cannot be read ({problem.strerror})", where=str(path)) from None
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{place}: {first['msg']}", where=str(path)) from None


def _beside(results: Path, out: Path) -> str | None:
    """`../../results/NAME` for `leaderboards/NAME`: only where both lie in one place."""
    here, there = out.resolve(), results.resolve()
    if not there.is_relative_to(here.parent.parent) or there == here or here.is_relative_to(there):
        return None
    return Path(os.path.relpath(there, here)).as_posix()
