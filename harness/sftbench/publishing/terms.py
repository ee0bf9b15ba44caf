"""Under which terms rows were made, and refusing to put rows of different terms on one board."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.table import strip_measured
from sftbench.errors import UsageError
from sftbench.serving.description import IN_PROCESS, AnswerServing

SETTINGS = ("trainer", "plant", "heldout_share", "heldout_at_most", "max_length", "max_new_tokens", "evals", "limit")
"""Settings of a run that decide the numbers of every row."""
WHERE_BOTH_TELL = ("servers of answers", "form of served adapters")
"""Terms that a run may say nothing of: one of the base alone has no adapter."""
WHOLE = "whole model"
_FILE = "file:"


@dataclass(frozen=True, kw_only=True)
class ComparisonTerms:
    """What must be equal for two rows to be compared, by the name that a message gives it."""

    told: Mapping[str, str]


def terms_of(
    cells: Sequence[Cell], run: Mapping[str, Any], *, cards: Sequence[str] = (), further_cards: Sequence[str] = ()
) -> ComparisonTerms:
    """The terms of one run; `cards` are the texts of the judge's cards beside its records, `further_cards` of those of
    its further judges.

    Raises `UsageError` when its own cells, or cards, differ in them.
    """
    finished = [cell for cell in cells if cell.status == "done"]
    judged = [cell for cell in finished if cell.verdicts is not None]
    settings = run.get("settings", {})
    told = {
        "pool": _one("pool", (f"{cell.pool.name} ({cell.pool.key})" for cell in cells)),
        "base model": _one("base model", (f"{cell.base.name} ({cell.base.fingerprint})" for cell in cells)),
        "budgets": ", ".join(sorted({cell.budget for cell in cells})),
        "judges": _one("jury", (_jury(cell) for cell in judged)) or "none",
        "judge's card": _one("judge's card", (_card(text) for text in cards)) or "none",
        "cards of further judges": _one("cards of further judges", (_card(text) for text in further_cards)) or "none",
        "prompt templates": _one("prompt template", (_templates(cell) for cell in judged)),
        # Where records do not say what their judges are, what was written on the command line has to do.
        "judge's settings": "" if all(_is_known(cell) for cell in judged) else str(settings.get("judge")),
        "held-out items": _one("held-out items", (_items(cell) for cell in finished)),
        "evaluators": ", ".join(sorted({_part(cell, "evaluation") for cell in finished if cell.steps})),
        "answers": _answers(settings),
        "servers of answers": _served("served_by", finished),
        "form of served adapters": _served("served_as", finished, but=WHOLE),
        **{name.replace("_", " "): json.dumps(settings.get(name), sort_keys=True) for name in SETTINGS},
    }
    return ComparisonTerms(told=told)


def refuse_other_terms(sources: Sequence[tuple[str, ComparisonTerms]]) -> None:
    """Raises `UsageError` that says which terms differ, and where."""
    (first, terms), *others = sources
    for name, other in others:
        for what, mine in terms.told.items():
            theirs = other.told[what]
            if mine != theirs and not (what in WHERE_BOTH_TELL and not (mine and theirs)):
                raise UsageError(
                    f"{first} and {name} differ in {what}: {mine[:160] or 'none'} and {theirs[:160] or 'none'}; "
                    "a board compares like with like"
                )


def _one(what: str, values: Iterator[str]) -> str:
    found = sorted(set(values))
    if len(found) > 1:
        raise UsageError(f"one of the sources has more than one {what}: {found[0][:120]} and {found[1][:120]}")
    return found[0] if found else ""


def _jury(cell: Cell) -> str:
    """All judges of a row, but for their templates, and what was judged against."""
    told = [_without_files(each.judged_by) or _part(cell, "verdicts") or each.judge for each in cell.judgements]
    return f"{json.dumps(told, sort_keys=True)} against {cell.judgements[0].baseline}"


def _is_known(cell: Cell) -> bool:
    return all(each.judged_by for each in cell.judgements)


def _without_files(judged_by: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies a judge without the files that it reads: their hashes stand among its parameters too."""
    found = {name: value for name, value in judged_by.items() if not name.startswith(_FILE)}
    parameters = found.get("parameters")
    if isinstance(parameters, Mapping):
        found["parameters"] = {name: value for name, value in parameters.items() if not str(value).startswith(_FILE)}
    return found


def _templates(cell: Cell) -> str:
    """The content of what the judges of a row were told, as hashes."""
    return json.dumps(
        [{name: text for name, text in each.judged_by.items() if name.startswith(_FILE)} for each in cell.judgements],
        sort_keys=True,
    )


def _answers(settings: Mapping[str, Any]) -> str:
    """What of the way in which answers were written may change them; older records tell only what was asked for."""
    if settings.get("answers_identity"):
        return str(settings["answers_identity"])
    serving = AnswerServing.parse(str(settings.get("answers", IN_PROCESS)))
    return serving.identity if serving else IN_PROCESS


def _served(what: str, cells: Sequence[Cell], *, but: str = "") -> str:
    """What records tell of the servers that wrote their answers; empty where a process of the run did."""
    told = (str((cell.answered_by or {}).get(what) or "") for cell in cells)
    return ", ".join(sorted({each for each in told if each not in ("", but)}))


def _part(cell: Cell, room: str) -> str:
    """The parts of a room with their versions."""
    return " ".join(sorted({step.part for step in cell.steps if step.room == room}))


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
