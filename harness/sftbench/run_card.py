"""The cards of a run's judges: from the run's own verdicts, and from what is known of each judge besides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.checking import JudgeCheck, check_judge, check_pairs
from sftbench.errors import SftbenchError
from sftbench.judging.card.ask import different
from sftbench.judging.card.card import FILE, FURTHER, JudgeCard, card_of
from sftbench.judging.card.failures import failure_findings
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.gates import RUN
from sftbench.judging.card.judged import JudgedPairs
from sftbench.judging.card.keeping import asks_a_model, judge_identity, kept_card
from sftbench.judging.card.material import LLMBAR
from sftbench.judging.card.orders import order_findings
from sftbench.judging.card.padding import longer_finding
from sftbench.judging.card.readings import readings_of
from sftbench.prompting import places
from sftbench.rooms import Json, Verdicts
from sftbench.runner import Run, Watcher
from sftbench.serving.household import KeptServers
from sftbench.store import write_atomically

SHORT = 50
"""Pairs of each probe in a card that a run makes itself."""
OF_THE_RUN = "the run's own pairs, in both orders"


@dataclass(frozen=True, kw_only=True)
class RunCards:
    """The cards of a run's judges by their names in its records, and what making them has cost, in sentences."""

    cards: Mapping[str, JudgeCard] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def cards_for(
    run: Run, cells: Sequence[Mapping[str, Any]], watcher: Watcher | None, *, kept: KeptServers | None = None
) -> RunCards:
    """The card of each judge of a run; none for one that asks no language model, or that has not judged anything.

    Order flips, position bias, parse failures and the preference for length come from the run's own verdicts. The rest
    comes from the card that `bench judge check` has made, or, where `--task-data` has LLMBar, from a short check (not
    without a watcher, when a run was interrupted), of the servers that the run has `kept`. A check that fails is named
    in `missing`: it must not cost a run.
    """
    cards, told = {}, []
    for name, judge in _asking_judges(run).items():
        judged = [each for cell in cells for each in _judgements(cell) if each["judge"] == name]
        if not judged:
            continue
        known, missing = kept_card(judge, run.store), ["a check by 'bench judge check'"]
        if known is not None:
            told.append(f"judge {name}: its card rests on a check that the store has; nothing was asked for it")
        elif watcher is not None:
            try:
                check = _short_check(run, name)
                if check is not None:
                    known = check_judge(check, plugins=run.plugins, watcher=watcher, kept=kept)
                    told.append(f"judge {name}: {_cost_of(known)}")
            except SftbenchError as problem:
                missing = [f"a short check, which failed ({type(problem).__name__})"]
                told.append(f"judge {name}: the short check for its card failed: {problem}")
        own = run_findings([_verdicts_of(each) for each in judged])
        cards[name] = card_of(
            [*own, *(known.findings if known is not None else ())],
            judge=judge,
            sample=known.sample if known is not None else "run",
            seed=known.seed if known is not None else 0,
            missing=known.missing if known is not None else missing,
            speed=known.speed if known is not None else None,
        )
    return RunCards(cards=cards, told=tuple(told))


def planned_checks(run: Run) -> list[str]:
    """What the cards of a run's judges will ask besides its verdicts, in a sentence for each judge; for the plan."""
    found = []
    for name, judge in _asking_judges(run).items():
        try:
            check = _short_check(run, name) if kept_card(judge, run.store) is None else None
            num = len(different(check_pairs(check))) if check is not None else 0
        except SftbenchError as problem:
            found.append(f"The short check of judge {name} for its card will fail: {problem}")
            continue
        if num:
            found.append(
                f"Besides, judge {name} is asked for its card, after all verdicts, about {num} pairs: up to {2 * num} "
                "requests in two orders, and one more for each reply that cannot be read. They are in no figure above."
            )
    return found


def _cost_of(card: JudgeCard) -> str:
    speed = card.speed
    return (
        f"a short check for its card took {speed.get('num_calls', 0):.0f} requests on {speed.get('num_pairs', 0):.0f} "
        f"pairs, {speed.get('num_tokens', 0):,.0f} tokens, {speed.get('wall_seconds', 0):.0f} s, which are in no row's "
        "cost; the store keeps it"
    )


def _judgements(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in (cell.get("verdicts"), *cell.get("further_verdicts", ())) if each]


def _with_gold(data: Path) -> Path:
    """Where LLMBar lies: the prompts of a suite are looked for in the same places."""
    files = (LLMBAR, f"{LLMBAR}.gz")
    return next((place for place in places(data) if any((place / name).is_file() for name in files)), data)


def _asking_judges(run: Run) -> dict[str, dict[str, Json]]:
    """What identifies each judge of the run that asks a language model, by its name in records, in their order."""
    found = {}
    for name in run.terms.judges:
        refs = [cell.verdicts[name] for cell in run.plan.cells if name in cell.verdicts]
        judge = judge_identity(run.plan.steps[refs[0]].identity) if refs else {}
        if asks_a_model(judge):
            found[name] = judge
    return found


def _short_check(run: Run, name: str) -> JudgeCheck | None:
    """The check of a judge that the run makes itself: where there is something with gold labels to ask."""
    data = run.settings.task_data
    if data is None or run.settings.redo == "never":
        return None
    check = JudgeCheck(
        judge=dict(zip(run.terms.judges, run.settings.judge or (), strict=True))[name],
        probes=SHORT,
        data=_with_gold(data),
        store=run.store.root,
        chat=run.settings.chat,
        concurrency=run.settings.concurrency,
        vllm=run.settings.vllm,
        repeat=False,
    )
    return check if check.material().gold else None


def run_findings(verdicts: Sequence[Verdicts]) -> list[Finding]:
    """What the verdicts of a run tell of its judge without asking anything."""
    readings = [readings_of(each) for each in verdicts]
    merged = replace(
        readings[0],
        ids=tuple(f"{number}/{name}" for number, each in enumerate(readings) for name in each.ids),
        model_first=np.concatenate([each.model_first for each in readings]),
        baseline_first=np.concatenate([each.baseline_first for each in readings]),
        preference=np.concatenate([each.preference for each in readings]),
        flags=tuple(flag for each in readings for flag in each.flags),
    )
    lengths = [np.concatenate([_lengths(each, name) for each in verdicts]) for name in ("model", "baseline")]
    unknown = np.full(len(merged), np.nan)
    judged = JudgedPairs(
        readings=merged, length_model=lengths[0], length_baseline=lengths[1], gold=unknown, groups=("",) * len(merged)
    )
    found = [
        *order_findings(merged, asked=OF_THE_RUN),
        longer_finding(judged, asked=OF_THE_RUN),
        *failure_findings([merged], asked=OF_THE_RUN),
    ]
    return [replace(each, probe=RUN) for each in found]


def _lengths(verdicts: Verdicts, side: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    told = verdicts.columns.get(f"length_{side}") or [None] * len(verdicts.ids)
    return np.array([each if isinstance(each, int) else math.nan for each in told], dtype=np.float64)


def _verdicts_of(cell: Mapping[str, Any]) -> Verdicts:
    preference = np.array([math.nan if each is None else each for each in cell["preference"]], dtype=np.float64)
    return Verdicts(ids=tuple(cell["ids"]), preference=preference, columns=cell.get("columns", {}))


def write_cards(folder: Path, cards: Mapping[str, JudgeCard], *, first: str | None) -> None:
    """`judge-card.json`, the card of the judge that decides the win rate, and `judge-cards.json`, those of the others,
    in the results of a run; none is left there from an earlier run under this name."""
    others = {name: json.loads(card.to_json()) for name, card in cards.items() if name != first}
    texts = {
        FILE: cards[first].to_json() if first is not None and first in cards else None,
        FURTHER: json.dumps({"schema": 1, "cards": others}, indent=1, ensure_ascii=False) + "\n" if others else None,
    }
    for name, text in texts.items():
        if text is not None:
            write_atomically(folder / name, text)
        else:
            (folder / name).unlink(missing_ok=True)
