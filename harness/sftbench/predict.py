"""Predict what the missing steps of a plan will take: FLOPs from row lengths, seconds from a short calibration."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftbench.methods import parts_of, training_passes
from sftbench.plan import Ref, Step, calibration, part_identity
from sftbench.record import Record
from sftbench.run_card import planned_checks
from sftbench.runner import Run, Watcher, carry_out, first_failure, is_preparing, known_outcomes, local_slots

STARTUP_SECONDS = 8.0
"""Loading libraries and a model, once for each stage and process."""
SERVER_SECONDS = 60.0
"""A fixed figure for each start of vLLM, which was seen to take 40 to 294 s."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row per cell, and the whole in words."""

    cells: list[dict[str, Any]]
    summary: str


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a step is expected to take."""

    tokens: float = 0.0
    seconds: float = 0.0
    disk_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Sizes of the pool, and speeds of this machine."""

    counts: Mapping[str, float]
    speed: Mapping[str, float]
    model_bytes: float
    num_heldout: float
    max_new_tokens: float

    @property
    def forward_flops_per_token(self) -> float:
        return self.counts["forward_flops"] / max(1.0, self.counts["num_tokens"])


def predict(run: Run, watcher: Watcher) -> Prediction:
    """Read the pool, count its tokens, measure the machine, and add up. Those three steps are kept in the store."""
    speed = calibration(run.facts)
    measured = replace(run, plan=replace(run.plan, steps={**run.plan.steps, speed.ref: speed}))
    unread = first_failure(measured, carry_out(measured, watcher, only=is_preparing), "prepare")
    if unread is not None:
        raise unread
    known, _ = known_outcomes(run.plan, run.store, run.settings.redo)
    scale = _scale(run, speed)
    failed = {ref for ref, outcome in known.items() if outcome == "failed"}
    works = {
        ref: _Work() if scale is None else _work(run, step, scale)
        for ref, step in run.plan.steps.items()
        if ref not in known and not failed & run.plan.ancestors(ref)
    }
    return Prediction(cells=_cells(run, known, works), summary=_summary(run, known, works))


def _record(run: Run, ref: Ref) -> Record | None:
    record = run.store.record_of(ref)
    return record if record is not None and record.status == "done" else None


def _scale(run: Run, measuring: Step) -> _Scale | None:
    """None when a preparing step failed; the run itself will say why."""
    lengths, speed, heldout = (_record(run, ref) for ref in (run.plan.lengths, measuring.ref, run.plan.heldout))
    if lengths is None or speed is None or heldout is None:
        return None
    weights = sum(path.stat().st_size for path in Path(run.facts.base.path).glob("*.safetensors"))
    return _Scale(
        counts=_numbers(lengths.payload),
        speed=_numbers(speed.payload),
        model_bytes=float(weights),
        num_heldout=_numbers(heldout.payload)["num_rows"],
        max_new_tokens=float(run.terms.max_new_tokens),
    )


def _numbers(payload: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in payload.items() if isinstance(value, (int, float))}


def _work(run: Run, step: Step, scale: _Scale) -> _Work:
    tokens, responses = scale.counts["num_tokens"], scale.counts["num_response_tokens"]
    forward = scale.forward_flops_per_token / scale.speed["forward_flops_per_second"]
    if step.room == "pass":
        wanted = tokens if step.identity.get("view") == "conditional" else responses
        return _Work(tokens=wanted, seconds=wanted * forward, disk_bytes=responses * 8)
    if step.room in ("scores", "selection"):
        wanted = tokens * _extra_passes(run, step)
        return _Work(tokens=wanted, seconds=wanted * forward)
    if step.room == "model":
        trainer, share = _part(run, step), _trained_share(run, step, scale)
        flops = scale.counts["forward_flops"] * share * training_passes(trainer)
        epochs = float(getattr(trainer, "epochs", 1) or 1)
        seconds = flops / scale.speed["training_flops_per_second"]
        return _Work(tokens=tokens * share * epochs, seconds=seconds, disk_bytes=scale.model_bytes)
    if step.room == "responses" and step.identity.get("make") != "read":
        wanted = scale.num_heldout * scale.max_new_tokens
        return _Work(tokens=wanted, seconds=wanted / scale.speed["generated_tokens_per_second"])
    return _Work()


def _extra_passes(run: Run, step: Step) -> float:
    """Forward passes over the pool that a part makes itself; parts that make some say so in `passes_over_pool`."""
    return float(getattr(_part(run, step), "passes_over_pool", 0.0))


def _part(run: Run, step: Step) -> Any:
    """The part that a step works with, of a method or of a recipe."""
    parts = parts_of(run.methods)
    return next(part for part in parts if part_identity(part, run.facts).items() <= step.identity.items())


def _trained_share(run: Run, step: Step, scale: _Scale) -> float:
    """Which share of the pool's tokens a training is expected to see."""
    choosing = _choosing(run, step)
    # A control matched to another selection trains on about as much as that one.
    if "other" in choosing.parents:
        choosing = _choosing(run, run.plan.steps[choosing.parents["other"]])
    identity: Any = choosing.identity.get("budget")
    if not isinstance(identity, Mapping):
        return 1.0
    amount = float(identity["amount"])
    passes = choosing.identity.get("training_passes")
    flops = scale.counts["forward_flops"] * (float(passes) if isinstance(passes, (int, float)) else 1.0)
    whole = {
        "rows": scale.counts["num_rows"],
        "share": 1.0,
        "tokens": scale.counts["num_response_tokens"],
        "flops": flops,
        "device-seconds": flops / scale.speed["training_flops_per_second"],
    }[identity["unit"]]
    return min(1.0, amount / whole)


def _choosing(run: Run, step: Step) -> Step:
    """The step that keeps within the budget of a training: that itself, or its selection."""
    return step if "budget" in step.identity else run.plan.steps[step.parents["selection"]]


def _cells(run: Run, known: Mapping[Ref, str], works: Mapping[Ref, _Work]) -> list[dict[str, Any]]:
    rows = []
    for cell in run.plan.cells:
        refs = {*cell.refs}.union(*(run.plan.ancestors(ref) for ref in cell.refs))
        missing = [ref for ref in refs if ref not in known]
        rows.append(
            {
                "method": cell.label,
                "kind": cell.kind,
                "budget": cell.budget,
                "seed": cell.seed,
                "steps": len(refs),
                "in store": len(refs) - len(missing),
                "failed": sum(known.get(ref) == "failed" for ref in refs),
                "seconds to go": round(sum(works[ref].seconds for ref in missing if ref in works), 1),
                "tokens to go": int(sum(works[ref].tokens for ref in missing if ref in works)),
            }
        )
    return rows


def _summary(run: Run, known: Mapping[Ref, str], works: Mapping[Ref, _Work]) -> str:
    slots = local_slots(run.settings.workers)
    stages = Counter(run.plan.steps[ref].stage for ref in works)
    busy = sum(work.seconds for work in works.values())
    starts = server_starts(run, [run.plan.steps[ref] for ref in works])
    seconds = busy / slots.num_workers + STARTUP_SECONDS * len(stages) + SERVER_SECONDS * starts
    tokens = sum(work.tokens for work in works.values())
    disk = sum(work.disk_bytes for work in works.values())
    free = os.statvfs(run.store.root)
    lines = [
        f"{len(run.plan.steps)} steps ({len(run.plan.steps) - len(works)} in the store); shared ones count once below.",
        f"To go: {len(works)} steps, about {_time(seconds)} on {slots.num_workers} process(es) of "
        f"{slots.num_threads} thread(s), "
        f"{tokens:,.0f} tokens, {disk / 1e9:.2f} GB of disk ({free.f_bavail * free.f_frsize / 1e9:.0f} GB free).",
    ]
    answered = sum(step.stage == "answer" for step in run.plan.steps.values())
    if answered:
        lines.append(
            f"Answers of {answered} models are written by vLLM ({run.facts.answering}), which starts once for adapters "
            "of one base and for each whole model; their time is told as if a process of the run wrote them."
        )
    if starts:
        lines.append(
            f"vLLM starts about {starts} times, for which {SERVER_SECONDS:.0f} s each are in that time: a fixed figure "
            "that was not measured here."
        )
    return "\n".join([*lines, *planned_checks(run)])


def server_starts(run: Run, steps: Sequence[Step]) -> int:
    """How often servers are expected to start for steps: once for each model in each stage.

    Adapters count as one with their base, though the base may turn out not to take them.
    """
    return len({(step.stage, served, _answering(run, step)) for step in steps for served in step.serves})


def _answering(run: Run, step: Step) -> str:
    """The trained model of its own that a step has served; empty where it is that of the step's `serves`, or in it."""
    made = step.parents.get("model") if step.stage == "answer" else None
    if made is None:
        return ""
    trainers = [method.trainer for method in run.methods if method.trains]
    identity = run.plan.steps[made].identity
    trainer = next((each for each in trainers if part_identity(each, run.facts).items() <= identity.items()), None)
    return "" if getattr(trainer, "rank", 0) else made


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
