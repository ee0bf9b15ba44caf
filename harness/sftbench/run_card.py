"""The card of a run's judge: from the run's own verdicts, and from what is known of the judge besides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.checking import Check, check_judge
from sftbench.errors import SftbenchError
from sftbench.judging.card.card import FILE, JudgeCard, card_of
from sftbench.judging.card.failures import failure_findings
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.gates import RUN
from sftbench.judging.card.judged import Judged
from sftbench.judging.card.keeping import asks_a_model, judge_identity, kept_card
from sftbench.judging.card.material import LLMBAR
from sftbench.judging.card.orders import order_findings
from sftbench.judging.card.padding import longer_finding
from sftbench.judging.card.readings import readings_of
from sftbench.prompting import places
from sftbench.rooms import Json, Verdicts
from sftbench.runner import Run, Watcher
from sftbench.store import write_atomically

SHORT = 50
"""Pairs of each probe in a card that a run makes itself."""
OF_THE_RUN = "the run's own pairs, in both orders"


def card_for(run: Run, cells: Sequence[Mapping[str, Any]], watcher: Watcher | None) -> JudgeCard | None:
    """The card of a run's judge; None for one that asks no language model, or that has not judged anything.

    Order flips, position bias, parse failures and the preference for length come from the run's own verdicts. The rest
    comes from the card that `bench judge check` has made, or, where `--task-data` has LLMBar, from a short check (not
    without a watcher, when a run was interrupted). A check that fails is named in `missing`: it must not cost a run.
    """
    judged = [cell["verdicts"] for cell in cells if cell.get("verdicts")]
    judge = _judge_of(run)
    if not judged or not asks_a_model(judge):
        return None
    own = run_findings([_verdicts_of(each) for each in judged])
    known, missing = kept_card(judge, run.store), ["a check by 'bench judge check'"]
    data = run.settings.task_data
    if known is None and data is not None and watcher is not None and run.settings.redo != "never":
        try:
            known = _short_check(run, _with_gold(data), watcher)
        except SftbenchError as problem:
            missing = [f"a short check, which failed ({type(problem).__name__})"]
    return card_of(
        [*own, *(known.findings if known is not None else ())],
        judge=judge,
        sample=known.sample if known is not None else "run",
        seed=known.seed if known is not None else 0,
        missing=known.missing if known is not None else missing,
        speed=known.speed if known is not None else None,
    )


def _with_gold(data: Path) -> Path:
    """Where LLMBar lies: the prompts of a suite are looked for in the same places."""
    files = (LLMBAR, f"{LLMBAR}.gz")
    return next((place for place in places(data) if any((place / name).is_file() for name in files)), data)


def _judge_of(run: Run) -> dict[str, Json]:
    """What identifies the judge of the win rate; nothing where there is none."""
    refs = [ref for cell in run.plan.cells for ref in cell.refs if ref.startswith("verdicts/")]
    return judge_identity(run.plan.steps[refs[0]].identity) if refs else {}


def _short_check(run: Run, data: Path, watcher: Watcher) -> JudgeCard | None:
    """Where there is something with gold labels to ask."""
    named: Any = run.settings.judge
    wanted = Check(
        judge=named if isinstance(named, str) else str(named[0]),
        probes=SHORT,
        data=data,
        store=run.store.root,
        chat=run.settings.chat,
        vllm=run.settings.vllm,
        repeat=False,
    )
    if not wanted.material().gold:
        return None
    return check_judge(wanted, plugins=run.plugins, watcher=watcher)


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
    judged = Judged(
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


def write_card(folder: Path, card: JudgeCard | None) -> None:
    """`judge-card.json` in the results of a run; none is left there from an earlier run under this name."""
    if card is not None:
        write_atomically(folder / FILE, card.to_json())
    else:
        (folder / FILE).unlink(missing_ok=True)
