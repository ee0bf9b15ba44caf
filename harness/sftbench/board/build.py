"""Making the board from a results folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sftbench.board.break_even import with_break_even
from sftbench.board.cells import Cell
from sftbench.board.corrected_rows import correct_rows, correction_notes
from sftbench.board.cost_words import phase_notes
from sftbench.board.entries import Entry, gather, item_values, metric_directions, number_of
from sftbench.board.judge_card import CardFacts, read_card_facts, read_further_facts
from sftbench.board.judged import agreements, has_judged_part, judged_rows
from sftbench.board.judgement import JudgeCardSummary
from sftbench.board.ranking import Elsewhere, Measurements, rank
from sftbench.board.reading import read_cells
from sftbench.board.served_words import serving_notes
from sftbench.board.statistics import NUM_RESAMPLES
from sftbench.board.table import SCHEMA, WIN_RATE, Board, BoardRow, DetectableDifference
from sftbench.board.without_hits import estimate_without_hits
from sftbench.board.words import notes
from sftbench.budget import Budget
from sftbench.errors import UsageError, unknown_name

__all__ = ["Board", "build_board"]

PREFERRED = ("exact-match", WIN_RATE, "nll")


def build_board(results: Path, *, sort_metric: str | None = None, num_resamples: int = NUM_RESAMPLES) -> Board:
    """The board of the cell files below `results`; the same files give the same board, byte for byte.

    Sorted by exact match if there is any, else by win rate, else by NLL, unless
    `sort_metric` names another. Raises `UsageError` for files that cannot be read and for a metric that nobody has.
    """
    cells = read_cells(results)
    baseline, judge = _one_jury(cells)
    directions = metric_directions(cells) | ({WIN_RATE: True} if baseline else {})
    telling = {name: bigger for name, bigger in directions.items() if name == WIN_RATE or _tells_apart(cells, name)}
    metric = _sort_metric(sort_metric, directions, telling or directions)
    budgets = sorted({cell.budget for cell in cells}, key=budget_order)
    entries = {budget: gather(cell for cell in cells if cell.budget == budget) for budget in budgets}
    measured = {
        name: {
            budget: Measurements.of(found, name, bigger_is_better=bigger, baseline=baseline)
            for budget, found in entries.items()
        }
        for name, bigger in directions.items()
    }
    rows: list[BoardRow] = []
    for budget, found in entries.items():
        without = estimate_without_hits(found, directions, baseline=baseline, num_resamples=num_resamples)
        rows += rank(
            found,
            [by_budget[budget] for by_budget in measured.values()],
            sort_metric=metric,
            num_resamples=num_resamples,
            without_hits=without,
            elsewhere=Elsewhere.of([each for other, each in measured.get(metric, {}).items() if other != budget]),
        )
    rows = with_break_even(
        rows, cells, metric=metric, bigger_is_better=directions.get(metric, True), num_resamples=num_resamples
    )
    num_items = {name: max(each.num_items for each in by_budget.values()) for name, by_budget in measured.items()}
    card = read_card_facts(results) if judge else None
    board = Board(
        schema=SCHEMA,
        pool=cells[0].pool,
        base=cells[0].base,
        budgets=tuple(budgets),
        seeds=tuple(sorted({cell.seed for cell in cells})),
        sort_metric=metric,
        bigger_is_better=directions,
        num_items=num_items,
        baseline=baseline,
        judge=judge,
        num_resamples=num_resamples,
        notes=(),
        rows=tuple(correct_rows(rows, card)),
        detectable=tuple(_detectable(entries, measured)),
        study=_asked_by_study(results),
    )
    further = read_further_facts(results) if judge else {}
    board = dataclasses.replace(board, **_judged(cells, card, further, budgets, num_resamples))
    further_notes = (*correction_notes(board, card), *phase_notes(cells), *serving_notes(cells))
    return dataclasses.replace(board, notes=(*notes(board), *further_notes))


def _asked_by_study(results: Path) -> str:
    """What `study.json` beside the records says that was asked; empty for a run that is no study."""
    path = results / "study.json"
    if not path.is_file():
        return ""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"'{path}' cannot be read: {problem}") from None
    about = told.get("about") if isinstance(told, dict) else None
    return about if isinstance(about, str) else ""


def _detectable(
    entries: dict[str, list[Entry]], measured: dict[str, dict[str, Measurements]]
) -> Iterator[DetectableDifference]:
    """Of every budget and metric, as if the board were sorted by it."""
    for budget, found in entries.items():
        for by_budget in measured.values():
            others = sum(len(each.baseline_pairs.p) for other, each in by_budget.items() if other != budget)
            told = by_budget[budget].detectable(found, others)
            if told is not None:
                yield told


def _judged(
    cells: list[Cell], card: CardFacts | None, further: Mapping[str, CardFacts], budgets: list[str], num_resamples: int
) -> dict[str, Any]:
    """The judges' cards, and the judged part, which is where records tell more than one win rate per row."""
    told = None if card is None else _card(card)
    if not has_judged_part(cells):
        return {"judge_card": told}
    rows = judged_rows(cells, budgets, num_resamples=num_resamples)
    return {
        "prompts": cells[0].prompts,
        "judge_card": told,
        "further_cards": {row.judge: _card(further[row.judge]) for row in rows if row.judge in further},
        "agreements": tuple(agreements(rows)),
        "judged": tuple(rows),
    }


def _card(facts: CardFacts) -> JudgeCardSummary:
    return JudgeCardSummary(passes=facts.passes, words=facts.words, flip_rate=facts.flip_rate, agreement=facts.agreed)


def _one_jury(cells: list[Cell]) -> tuple[str | None, str | None]:
    """What finished cells were judged against, and by whom."""
    juries = sorted(
        {(cell.verdicts.baseline, cell.verdicts.judge) for cell in cells if cell.verdicts and cell.status == "done"}
    )
    if len(juries) > 1:
        found = "; ".join(f"against {baseline} by {judge}" for baseline, judge in juries)
        raise UsageError(f"win rates of several kinds cannot share a board: {found}")
    return juries[0] if juries else (None, None)


def _tells_apart(cells: list[Cell], name: str) -> bool:
    """Whether a metric has more than one value at all: on open questions exact match is 0 everywhere."""
    values = (item_values(cell, name) for cell in cells)
    numbers = {number for cell in cells if (number := number_of(cell, name)) is not None}
    return len(numbers | {value for each in values if each for value in each.values() if value is not None}) > 1


def _sort_metric(given: str | None, directions: dict[str, bool], telling: dict[str, bool]) -> str:
    if given is not None and given not in directions:
        raise unknown_name("metric", given, directions)
    return given or next((name for name in (*PREFERRED, *telling) if name in telling), PREFERRED[0])


def budget_order(text: str) -> tuple[str, float, str]:
    """Sorts budgets by unit, then by amount."""
    try:
        budget = Budget.parse(text)
    except UsageError:
        return ("", 0.0, text)
    return (budget.unit, budget.amount, text)
