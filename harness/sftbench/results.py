"""Write what a run found: one small JSON file per cell under `results/NAME/`, from the steps in the store alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.cards import NAME as CARDS
from sftbench.cards import cards_of
from sftbench.contamination.hits import Hits
from sftbench.executors.local import Outcome
from sftbench.judging.card.keeping import judge_identity
from sftbench.ledger import Ledger
from sftbench.placing import message_told, name_of
from sftbench.plan import PlannedCell, Ref
from sftbench.positions import positions_as_text
from sftbench.record import Record
from sftbench.rooms import Pool
from sftbench.runner import Run
from sftbench.shelf import load_pool, load_selection
from sftbench.store import write_atomically

SCHEMA = 1
OF_THIS_MACHINE = (
    "store", "results", "board", "workers", "concurrency", "redo", "task_data", "observers", "observer_folder", "vllm",
)  # fmt: skip
"""Settings that decide no number and say where things lie here."""


def write_results(run: Run, outcomes: Mapping[Ref, Outcome]) -> tuple[Path, list[dict[str, Any]]]:
    """Write every cell that is finished or failed, `run.json`, and what the methods are, `methods.json`.

    Once all planned cells are there, cells of an earlier run under this name that are not planned now
    are removed (their steps stay in the store): a folder holds one run. Returns the folder and the
    cells as written.
    """
    folder = run.settings.results / run.name
    written: dict[Path, dict[str, Any]] = {}
    pool = load_pool(run.store.folder_of(run.plan.pool), run.plan.pool) if _is_done(run, run.plan.pool) else None
    for cell in run.plan.cells:
        described = describe(run, cell, outcomes, pool=pool)
        if described is not None:
            written[folder / cell_path(cell, described["label"])] = described
    if len(written) == len(run.plan.cells):
        for old in folder.glob("*/*/seed-*.json"):
            if old not in written:
                old.unlink()
    for path, content in written.items():
        write_atomically(path, record_text(content) + "\n")
    about = {
        "schema": SCHEMA,
        "name": run.name,
        "given": run.places.told({name: each for name, each in run.given.items() if name not in OF_THIS_MACHINE}),
        "settings": _settings(run),
        "num_cells": len(run.plan.cells),
    }
    write_atomically(folder / "run.json", json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    cards = cards_of(run.plugins, (cell.method for cell in run.plan.cells))
    write_atomically(folder / CARDS, json.dumps(cards, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return folder, list(written.values())


def record_text(value: Any, depth: int = 0) -> str:
    """JSON with a key a line, sorted. Lists of plain values stand on one line: those of items are long."""
    inside, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        lines = [
            f"{json.dumps(key, ensure_ascii=False)}: {record_text(value[key], depth + 1)}" for key in sorted(value)
        ]
        return f"{{{inside}{f',{inside}'.join(lines)}{end}}}"
    if isinstance(value, list | tuple) and any(isinstance(each, dict | list | tuple) for each in value):
        return f"[{inside}{f',{inside}'.join(record_text(each, depth + 1) for each in value)}{end}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _is_done(run: Run, ref: Ref) -> bool:
    record = run.store.record_of(ref)
    return record is not None and record.status == "done"


def _settings(run: Run) -> dict[str, Any]:
    """All settings, given or default, and what those became that are found out; folders of this machine that decide no
    number are left out."""
    full: dict[str, Any] = json.loads(run.settings.model_dump_json(exclude=set(OF_THIS_MACHINE)))
    embedder = run.facts.embedder
    found = {"embedder": name_of(embedder.name), "embedder_fingerprint": embedder.fingerprint}
    became: dict[str, Any] = {"max_length": run.terms.max_length, "max_new_tokens": run.terms.max_new_tokens}
    limits = {"limits": dataclasses.asdict(run.facts.limits)}
    if run.facts.answering is not None:
        # With the precision that was settled here, which is not on every machine the same.
        became["answers_identity"] = run.facts.answering.identity
    return {**run.places.told(full), **became, **limits, **found}


def cell_path(cell: PlannedCell, label: str = "") -> Path:
    """A path that reads as a sentence: `tshirt/10pct/seed-0.json`; by another label than its own if one is given."""
    return Path(_slug(label or cell.label)) / _slug(cell.budget.replace("%", "pct")) / f"seed-{cell.seed}.json"


def _slug(label: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.") or "x"
    return slug if slug == label else f"{slug}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"


def describe(
    run: Run, cell: PlannedCell, outcomes: Mapping[Ref, Outcome], *, pool: Pool | None = None
) -> dict[str, Any] | None:
    """One cell as its record; None while some of its steps have neither ended nor failed.

    With the run's `pool` it also tells which rows of it were chosen.
    """
    failure = _failure(run, cell, outcomes)
    if failure is None and any(outcomes.get(ref) != "done" for ref in _own(cell)):
        return None
    records = {ref: run.store.record_of(ref) for ref in cell.refs if outcomes.get(ref) == "done"}
    labels = run.labels
    selection = records.get(cell.chosen)
    return {
        "schema": SCHEMA,
        "method": cell.method,
        "label": labels[cell.label],
        "kind": cell.kind,
        "matched_to": labels.get(str(cell.matched_to), cell.matched_to),
        "budget": cell.budget,
        "seed": cell.seed,
        "base": {"name": name_of(run.facts.base.name), "fingerprint": run.facts.base.fingerprint},
        "pool": _pool(run, cell),
        "fidelity": cell.fidelity,
        "status": "failed" if failure else "done",
        "failure": failure,
        "selection": _selection(run, cell, selection, pool) if selection else None,
        "generated": _generated(run, cell, outcomes),
        "evaluations": {
            name: _evaluation(records[ref]) for name, ref in cell.evaluations.items() if records.get(ref) is not None
        },
        **_of_judges(run, cell, records),
        "diversity": {
            component: record.payload["measures"]
            for component, ref in cell.descriptions.items()
            if (record := records.get(ref)) is not None
        },
        "undescribed": {} if failure else _undescribed(run, cell, outcomes),
        "cost": _cost(run, cell, outcomes),
        "steps": _steps(run, cell),
        "stand_ins": _stand_ins(run, cell),
        "asked": _asked(run, cell),
        **_answered_by(run, cell),
        **_hits(run, cell, outcomes, pool),
    }


def _pool(run: Run, cell: PlannedCell) -> dict[str, Any]:
    lengths = run.store.record_of(run.plan.lengths)
    counts = lengths.payload if lengths else {}
    names = ("num_rows", "num_planted", "num_planted_tokens", "num_response_tokens")
    return {"name": run.facts.pool_name, "key": run.plan.pool, **{name: counts.get(name, 0) for name in names}}


def _selection(run: Run, cell: PlannedCell, record: Record, pool: Pool | None) -> dict[str, Any] | None:
    """What was trained on; the untrained base chose nothing."""
    if cell.model is None:
        return None
    payload = record.payload
    names = ("num_rows", "num_response_tokens", "num_planted_rows", "num_planted_tokens", "status", "ids_hash")
    total = payload["num_response_tokens"]
    trained = payload["num_trained_tokens"]
    assert isinstance(total, int)
    assert isinstance(trained, int)
    return {
        **{name: payload[name] for name in names},
        "key": cell.chosen,
        "trained_share": trained / total if total else 0.0,
        "positions": _positions(run, cell, pool),
    }


def _generated(run: Run, cell: PlannedCell, outcomes: Mapping[Ref, Outcome]) -> dict[str, Any] | None:
    """What the method's generator told, its step's key included; None for a method that chooses from the pool."""
    ref = run.plan.generated_for(cell.selection)
    if ref is None or outcomes.get(ref) != "done":
        return None
    payload = run.store.ended(ref).payload
    names = ("num_rows", "num_wanted", "num_new", "num_repeating_heldout", "status", "report")
    return {"key": ref, **{name: payload[name] for name in names}}


def _positions(run: Run, cell: PlannedCell, pool: Pool | None) -> str | None:
    """Where the rows of a selection stand in the run's pool; None when some are not in it: a generator made them."""
    if pool is None:
        return None
    found = [pool.index_of.get(row_id) for row_id in load_selection(run.store.folder_of(cell.chosen)).ids]
    known = [position for position in found if position is not None]
    return positions_as_text(known) if len(known) == len(found) else None


def _hits(run: Run, cell: PlannedCell, outcomes: Mapping[Ref, Outcome], pool: Pool | None) -> dict[str, Any]:
    """The held-out items that rows of the selection have something of; no key where there are none."""
    likeness = run.terms.contamination
    needed = (cell.hits, cell.chosen, run.plan.heldout)
    if cell.hits is None or likeness is None or any(outcomes.get(ref) != "done" for ref in needed if ref):
        return {}
    hits = Hits.load(run.store.folder_of(cell.hits))
    if not len(hits.items):
        return {}
    pool_ref, heldout_ref = run.plan.steps[cell.hits].parents["pool"], run.plan.heldout
    if pool is None or pool_ref != run.plan.pool:
        pool = load_pool(run.store.folder_of(pool_ref), pool_ref)
    ids = load_selection(run.store.folder_of(cell.chosen)).ids
    rows = np.array([pool.index_of[row_id] for row_id in ids], dtype=np.int64)
    items = hits.items_in(rows)
    if not len(items):
        return {}
    heldout = load_pool(run.store.folder_of(heldout_ref), heldout_ref)
    told = {
        "key": cell.hits,
        "num_words": likeness.num_words,
        "cosine": likeness.cosine if likeness.embedder else None,
        "num_rows": len(np.intersect1d(rows, hits.rows)),
        "ids": [heldout.ids[item] for item in items],
    }
    return {"hits": told}


def _evaluation(record: Record | None) -> dict[str, Any]:
    assert record is not None
    # A report is told where items are an evaluator's own: nothing else says which tasks there were.
    names = ("ids", "items", "bigger_is_better", *(("ids_of", "report") if "ids_of" in record.payload else ()))
    numbers = {"numbers": record.payload["numbers"]} if "numbers" in record.payload else {}
    return {name: record.payload[name] for name in names} | numbers


def _verdicts(run: Run, cell: PlannedCell, records: Mapping[Ref, Record | None]) -> list[dict[str, Any] | None]:
    """Of each judge, in their order; None of one that has not ended."""
    found: list[dict[str, Any] | None] = []
    for name in run.terms.judges:
        record = records.get(cell.verdicts[name]) if name in cell.verdicts else None
        found.append(None if record is None else _verdict(run, record, name, cell.baseline))
    return found


def _verdict(run: Run, record: Record, judge: str, baseline: str | None) -> dict[str, Any]:
    return {
        "baseline": run.labels.get(str(baseline), baseline),
        "judge": judge,
        "ids": record.payload["ids"],
        "preference": record.payload["preference"],
        "columns": record.payload.get("columns", {}),
        "judged_by": run.places.told(judge_identity(record.identity)),
    }


def _of_judges(run: Run, cell: PlannedCell, records: Mapping[Ref, Record | None]) -> dict[str, Any]:
    """The verdicts of the first judge, and where there are more judges or a suite of prompts, those and that."""
    first, *further = _verdicts(run, cell, records) or [None]
    told: dict[str, Any] = {"verdicts": first}
    if len(run.terms.judges) > 1:
        told["further_verdicts"] = [each for each in further if each is not None]
    if run.facts.prompts is not None:
        told["prompts"] = dataclasses.asdict(run.facts.prompts)
    return told


def _cost(run: Run, cell: PlannedCell, outcomes: Mapping[Ref, Outcome]) -> dict[str, Any]:
    """What each phase used. A shared step counts in full for each method that needs it.

    Generating and judging are left out where there is nothing of the kind.
    """
    choosing = run.plan.cost_of_choosing(cell.chosen, cell.model) if cell.model else []
    generating = run.plan.cost_of_generating(cell.selection) if cell.model else frozenset()
    parts = {
        "selecting": [ref for ref in choosing if ref not in generating],
        "generating": [ref for ref in choosing if ref in generating],
        "training": [cell.model] if cell.model else [],
        "evaluating": [ref for ref in (cell.responses, *cell.evaluations.values()) if ref],
        "judging": list(cell.verdicts.values()),
    }
    told = {name: refs for name, refs in parts.items() if refs or name not in ("generating", "judging")}
    return {name: _sum(run, [ref for ref in refs if outcomes.get(ref) == "done"]) for name, refs in told.items()}


def _sum(run: Run, refs: Iterable[Ref]) -> dict[str, float]:
    total = Ledger()
    for ref in refs:
        record = run.store.record_of(ref)
        total = total + record.ledger if record else total
    return dataclasses.asdict(total)


def _steps(run: Run, cell: PlannedCell) -> list[dict[str, Any]]:
    """The rooms this cell went through, in order, with what identifies each; no number rests on the look for hits."""
    ends = [ref for ref in cell.refs if ref != cell.hits]
    refs = {*ends}.union(*(run.plan.ancestors(ref) for ref in ends))
    steps = [run.plan.steps[ref] for ref in run.plan.steps if ref in refs]
    return [{"room": step.room, "part": str(step.identity.get("part", "")), "key": step.key} for step in steps]


def _stand_ins(run: Run, cell: PlannedCell) -> list[str]:
    """What the steps of this cell did without the model that they would have asked."""
    found = [record.payload.get("stand_ins") for record in _of_choosing_and_training(run, cell)]
    return sorted({str(each) for told in found if isinstance(told, list) for each in told})


def _asked(run: Run, cell: PlannedCell) -> list[str]:
    """The language models behind endpoints that the steps of this cell asked; nobody knows their FLOPs."""
    found = [record.payload.get("chat") for record in _of_choosing_and_training(run, cell)]
    return sorted({str(told["model"]) for told in found if isinstance(told, dict)})


def _answered_by(run: Run, cell: PlannedCell) -> dict[str, Any]:
    """By whom the answers of this cell were written; no key where a process of the run wrote them."""
    record = run.store.record_of(cell.responses) if cell.responses else None
    return {"answered_by": record.payload["answered"]} if record is not None and "answered" in record.payload else {}


def _of_choosing_and_training(run: Run, cell: PlannedCell) -> list[Record]:
    refs = [*run.plan.cost_of_choosing(cell.chosen, cell.model), *([cell.model] if cell.model else [])]
    return [record for record in map(run.store.record_of, refs) if record is not None]


def _own(cell: PlannedCell) -> list[Ref]:
    """The steps without which this cell has no result: neither verdicts, which need another's, nor descriptions, nor
    hits."""
    others = {*cell.verdicts.values(), *cell.descriptions.values(), cell.hits}
    return [ref for ref in cell.refs if ref not in others]


def _failure(run: Run, cell: PlannedCell, outcomes: Mapping[Ref, Outcome]) -> dict[str, Any] | None:
    """The first step of this cell that failed, and why.

    Verdicts are left out: they rest on the baseline too, and a method is not failed because `random` did.
    """
    return _first_failed(run, _own(cell), outcomes)


def _undescribed(run: Run, cell: PlannedCell, outcomes: Mapping[Ref, Outcome]) -> dict[str, dict[str, Any]]:
    """By component: why there is no diversity of the chosen rows, although they were trained on and measured."""
    found = {component: _first_failed(run, [ref], outcomes) for component, ref in cell.descriptions.items()}
    return {component: failure for component, failure in found.items() if failure is not None}


def _first_failed(run: Run, ends: Sequence[Ref], outcomes: Mapping[Ref, Outcome]) -> dict[str, Any] | None:
    """The first of some steps, and of those that they rest on, that failed, and why."""
    refs = {*ends}.union(*(run.plan.ancestors(ref) for ref in ends))
    for ref in run.plan.steps:
        if ref in refs and outcomes.get(ref) in ("failed", "died"):
            told = run.places.text(run.plan.steps[ref].label)
            record = run.store.record_of(ref)
            if record is not None and record.failure is not None:
                message = message_told(
                    record.failure.message, facts=run.facts, settings=run.settings, store=run.store.root
                )
                return {"step": told, "error": record.failure.error, "message": message}
            return {
                "step": told,
                "error": "ProcessDied",
                "message": "its process died twice; see the log in the store",
            }
    return None
