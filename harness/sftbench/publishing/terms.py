"""Under which terms rows were made, and refusing to put rows of different terms on one board."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.table import strip_measured
from sftbench.errors import UsageError

SETTINGS = ("trainer", "plant", "heldout_share", "heldout_at_most", "max_length", "max_new_tokens", "evals", "limit")
"""Settings of a run that decide the numbers of every row."""
_TEMPLATES = ("template", "prompt")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What must be equal for two rows to be compared, by the name that a message gives it."""

    told: Mapping[str, str]


def terms_of(cells: Sequence[Cell], run: Mapping[str, Any], *, cards: Sequence[str] = ()) -> Terms:
    """The terms of one run; `cards` are the texts of the judge's cards beside its records.

    Raises `UsageError` when its own cells, or cards, differ in them.
    """
    finished = [cell for cell in cells if cell.status == "done"]
    judged = [cell for cell in finished if cell.verdicts is not None]
    settings = run.get("settings", {})
    told = {
        "pool": _one("pool", (f"{cell.pool.name} ({cell.pool.key})" for cell in cells)),
        "base model": _one("base model", (f"{cell.base.name} ({cell.base.fingerprint})" for cell in cells)),
        "budgets": ", ".join(sorted({cell.budget for cell in cells})),
        "judge": _one("judge", (_judge(cell) for cell in judged)) or "none",
        "judge's card": _one("judge's card", (_card(text) for text in cards)) or "none",
        "judge's settings": str(settings.get("judge")),
        "prompt templates": _one("prompt template", (text for cell in judged for text in _templates(cell))),
        "held-out items": _one("held-out items", (_items(cell) for cell in finished)),
        "evaluators": ", ".join(sorted({_part(cell, "evaluation") for cell in finished if cell.steps})),
        **{name.replace("_", " "): json.dumps(settings.get(name), sort_keys=True) for name in SETTINGS},
    }
    return Terms(told=told)


def refuse_other_terms(sources: Sequence[tuple[str, Terms]]) -> None:
    """Raises `UsageError` that says which terms differ, and where."""
    (first, terms), *others = sources
    for name, other in others:
        for what, mine in terms.told.items():
            theirs = other.told[what]
            if mine != theirs:
                raise UsageError(
                    f"{first} and {name} differ in {what}: {mine[:160] or 'none'} and {theirs[:160] or 'none'}; "
                    "a board compares like with like"
                )


def _one(what: str, values: Iterator[str]) -> str:
    found = sorted(set(values))
    if len(found) > 1:
        raise UsageError(f"one of the sources has more than one {what}: {found[0][:120]} and {found[1][:120]}")
    return found[0] if found else ""


def _judge(cell: Cell) -> str:
    assert cell.verdicts is not None
    return f"{_part(cell, 'verdicts') or cell.verdicts.judge} against {cell.verdicts.baseline}"


def _part(cell: Cell, room: str) -> str:
    """The parts of a room with their versions."""
    return " ".join(sorted({step.part for step in cell.steps if step.room == room}))


def _templates(cell: Cell) -> Iterator[str]:
    """Whatever a judge tells of its prompts: values that are named so, in its report."""
    assert cell.verdicts is not None
    found = {
        name: value
        for name, value in cell.verdicts.report.items()
        if any(word in name.lower() for word in _TEMPLATES) and isinstance(value, str | dict)
    }
    if found:
        yield json.dumps(found, sort_keys=True)


def _card(text: str) -> str:
    """What a card tells, as a fingerprint, whatever the form of its file."""
    from sftbench.fingerprint import key_of

    try:
        return key_of(strip_measured(json.loads(text)))[:16]
    except (ValueError, RecursionError):
        raise UsageError("one of the sources has a judge's card that is not JSON") from None


def _items(cell: Cell) -> str:
    """The held-out items of each evaluator, and of each metric that has items of its own, as a fingerprint."""
    from sftbench.fingerprint import key_of

    ids: dict[str, Any] = {name: sorted(evaluation.ids) for name, evaluation in cell.evaluations.items()}
    for name, evaluation in cell.evaluations.items():
        if evaluation.ids_of:
            own = {metric: sorted(found) for metric, found in evaluation.ids_of.items()}
            ids[name] = {"ids": ids[name], "ids_of": own}
    return key_of(ids)[:16] if ids else ""
