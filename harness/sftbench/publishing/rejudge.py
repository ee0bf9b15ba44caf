"""Having a random part of the published judgements made again by one's own judge, and comparing the two."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.board.cells import Cell
from sftbench.errors import UsageError
from sftbench.judgement import judge_answers
from sftbench.plugins import Plugins
from sftbench.publishing.again import Own, carried_out, planned_again
from sftbench.publishing.layout import RECORDS, RESPONSES, Finding, json_in
from sftbench.rooms import Responses, Row
from sftbench.runner import Watcher

STANDARD_ERRORS = 4.0
"""A mean difference as many standard errors from 0 is no accident of the sample."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One judgement: two answers to a held-out row, and the preference that was published."""

    where: str
    item: str
    answer: str
    other: str
    told: float


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """`agreement` is the share of pairs in which both judges take the same side, a tie being a side of its own.

    `mean_difference` is one's own preference minus the published one, with its standard error over pairs.
    """

    judge: str
    published_judge: str
    num_pairs: int
    num_of: int
    agreement: float
    mean_difference: float
    standard_error: float
    findings: tuple[Finding, ...]


def rejudge(
    bundle: Path, cells: Sequence[Cell], *, share: float, seed: int, judge: str | None, own: Own, plugins: Plugins,
    watcher: Watcher,
) -> Rejudged:  # fmt: skip
    """Judge a random `share` of all pairs again; the answers must be in the bundle, the held-out rows come from here.

    With the same judge and one that always says the same, every difference is a finding; with another, a mean
    difference of more than four standard errors is.
    """
    pairs = _pairs(bundle, cells)
    if not pairs:
        raise UsageError(
            "the bundle holds no answers to judge again; they are published with 'bench publish --with-responses'"
        )
    count = max(1, math.ceil(share * len(pairs) - 1e-9))
    picked = [pairs[index] for index in sorted(np.random.default_rng(seed).permutation(len(pairs))[:count])]
    named = json_in(bundle / RECORDS / "run.json", "run.json").get("settings", {}).get("judge")
    # The first judge of a run decides its win rates; older records name just one.
    published = str(named[0] if isinstance(named, list) and named else named)
    if judge is None and "://" in published:
        raise UsageError(f"the run was judged by a server ({published}), which is not asked from here; give --judge")
    used = judge or published
    # Ids of their own, since one item is judged for many models.
    rows = _rows(bundle, cells, own, plugins, watcher)
    asked = [replace(rows[pair.item], id=f"{number}") for number, pair in enumerate(picked)]
    ids = tuple(row.id for row in asked)
    answers = Responses(ids=ids, texts=tuple(pair.answer for pair in picked))
    others = Responses(ids=ids, texts=tuple(pair.other for pair in picked))
    judged = judge_answers(
        used, asked, answers, others, plugins=plugins, watcher=watcher,
        store=own.settings.get("store"), chat=own.settings.get("chat"),
    ).verdicts  # fmt: skip
    mine = dict(zip(judged.ids, judged.preference, strict=True))
    return _compared(picked, [float(mine[row_id]) for row_id in ids], used=used, published=published, num_of=len(pairs))


def _compared(pairs: list[Pair], mine: list[float], *, used: str, published: str, num_of: int) -> Rejudged:
    kept = [(pair, value) for pair, value in zip(pairs, mine, strict=True) if math.isfinite(value)]
    apart = np.array([value - pair.told for pair, value in kept], dtype=np.float64)
    sides = [np.sign(value - 0.5) == np.sign(pair.told - 0.5) for pair, value in kept]
    error = float(apart.std(ddof=1) / math.sqrt(len(apart))) if len(apart) > 1 else math.nan
    mean = float(apart.mean()) if len(apart) else math.nan
    findings = []
    if used == published:
        findings = [
            Finding(where=f"{pair.where}, item {pair.item}", what="preference", told=pair.told, recomputed=value)
            for pair, value in kept
            if abs(value - pair.told) > 1e-9
        ]
    elif abs(mean) > STANDARD_ERRORS * error:
        what = f"mean preference over {len(apart)} pairs, by {used}; more than {STANDARD_ERRORS:g} standard errors away"
        told = float(np.mean([pair.told for pair, _ in kept]))
        findings = [Finding(where="verdicts", what=what, told=told, recomputed=told + mean)]
    return Rejudged(
        judge=used,
        published_judge=published,
        num_pairs=len(kept),
        num_of=num_of,
        agreement=float(np.mean(sides)) if sides else math.nan,
        mean_difference=mean,
        standard_error=error,
        findings=tuple(findings),
    )


def _pairs(bundle: Path, cells: Sequence[Cell]) -> list[Pair]:
    """Every judgement of which both answers are in the bundle."""
    by_name = {(cell.label, cell.budget, cell.seed): cell for cell in cells}
    first = {(cell.label, cell.budget): cell for cell in reversed(cells)}
    texts: dict[str, dict[str, str]] = {}
    found = []
    for cell in cells:
        told = cell.verdicts
        if told is None:
            continue
        baseline = by_name.get((told.baseline, cell.budget, cell.seed)) or first.get((told.baseline, cell.budget))
        theirs = _responses_of(baseline) if baseline else []
        own = [key for key in _responses_of(cell) if key not in theirs]
        if len(theirs) != 1 or len(own) != 1:
            continue
        mine, other = (_texts(bundle, key, texts) for key in (own[0], theirs[0]))
        where = f"{cell.label}@{cell.budget}/{cell.seed}"
        found += [
            Pair(where=where, item=item, answer=mine[item], other=other[item], told=preference)
            for item, preference in zip(told.ids, told.preference, strict=True)
            if preference is not None and item in mine and item in other
        ]
    return found


def _responses_of(cell: Cell) -> list[str]:
    return [step.key for step in cell.steps if step.room == "responses"]


def _texts(bundle: Path, key: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    path = bundle / RESPONSES / f"{key.split('/')[-1]}.jsonl"
    if key not in known:
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines if line]
        known[key] = {row["id"]: row["response"] for row in rows}
    return known[key]


def _rows(bundle: Path, cells: Sequence[Cell], own: Own, plugins: Plugins, watcher: Watcher) -> dict[str, Row]:
    """The held-out rows, made again from one's own pool and held to the bundle's key."""
    run = planned_again(bundle, own, plugins, cells[0])
    heldout = run.plan.heldout
    if heldout not in {f"{step.room}/{step.key}" for cell in cells for step in cell.steps}:
        raise UsageError(f"the held-out rows here are not those of the bundle: {heldout} made none of its steps")
    carried_out(run, watcher, [heldout])
    return {row.id: row for row in shelf.load_pool(run.store.folder_of(heldout), heldout)}
