"""Verdicts of cells in the form of verdict files, so that every published score can be computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell, CellVerdicts
from sftbench.errors import UsageError
from sftbench.judging.verdicts import LABELS, Label, StyleCounts, Verdict, VerdictFile, preference_of_games


def model_name(cell: Cell) -> str:
    """How a cell is called among the models of a verdict file."""
    matched = f"({cell.matched_to})" if cell.matched_to and cell.matched_to not in cell.label else ""
    return f"{cell.label}{matched}@{cell.budget}/seed-{cell.seed}"


def verdict_file(cells: Iterable[Cell], *, judge: str | None = None, where: Path) -> VerdictFile:
    """What one judge (the first unless named) said of all finished cells, a model for each cell.

    Raises `UsageError` where nothing was judged, or against several baselines.
    """
    found: dict[str, tuple[Verdict, ...]] = {}
    baselines: dict[str, None] = {}
    for cell in cells:
        verdicts = of_judge(cell, judge) if cell.status == "done" else None
        if verdicts is not None:
            found[model_name(cell)] = verdicts_of(verdicts)
            baselines[verdicts.baseline] = None
    if len(baselines) > 1:
        raise UsageError(f"{where}: judged against {', '.join(baselines)}; scores are against one baseline")
    if not found:
        raise UsageError(f"{where} holds no verdicts" + (f" of {judge}" if judge else ""))
    prompts = dict.fromkeys(verdict.prompt for verdicts in found.values() for verdict in verdicts)
    return VerdictFile(path=where, baseline=next(iter(baselines)), prompts=tuple(prompts), by_model=found)


def of_judge(cell: Cell, judge: str | None) -> CellVerdicts | None:
    """The verdicts of a judge on a cell; of the first judge when none is named."""
    if judge is None:
        return cell.verdicts
    return next((each for each in cell.judgements if each.judge == judge), None)


def verdicts_of(told: CellVerdicts) -> tuple[Verdict, ...]:
    """One verdict per item; what a column has in no known form is left out."""
    columns = {name: iter(values) for name, values in told.columns.items()}
    return tuple(
        _verdict(number, item, preference, {name: next(values) for name, values in columns.items()})
        for number, (item, preference) in enumerate(zip(told.ids, told.preference, strict=True), 1)
    )


def _verdict(number: int, item: str, preference: float | None, more: Mapping[str, Any]) -> Verdict:
    games = (label_of(more.get("baseline_first")), label_of(more.get("model_first")))
    both = None if games[0] is None or games[1] is None else (games[0], games[1])
    tokens = (_length(more.get("tokens_model")), _length(more.get("tokens_baseline")))
    if preference is None and both is not None and not more.get("flags"):
        preference = preference_of_games(both)
    return Verdict(
        line=number,
        prompt=item,
        preference=float("nan") if preference is None else preference,
        games=both,
        length_model=_length(more.get("length_model")),
        length_baseline=_length(more.get("length_baseline")),
        tokens=None if tokens[0] is None or tokens[1] is None else (tokens[0], tokens[1]),
        style_model=_style(more.get("style_model")),
        style_baseline=_style(more.get("style_baseline")),
        flags=tuple(more.get("flags") or ()),
    )


def label_of(value: object) -> Label | None:
    """A five-way label, or None."""
    return value if value in LABELS else None  # type: ignore[return-value]


def _length(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value >= 0 else None


def _style(value: object) -> StyleCounts | None:
    if not isinstance(value, Mapping) or set(value) != {"headers", "lists", "bolds"}:
        return None
    return StyleCounts(**value)
