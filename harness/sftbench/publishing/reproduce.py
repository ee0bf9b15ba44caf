"""Running one row of a bundle again, and comparing what was chosen and what came of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.board.cells import Cell
from sftbench.errors import UsageError, unknown_name
from sftbench.plan import Cell as PlannedCell
from sftbench.plugins import Plugins
from sftbench.publishing.again import Own, carried_out, planned_again
from sftbench.publishing.layout import Finding
from sftbench.publishing.levels import Attestation
from sftbench.publishing.lock import installed, own_version
from sftbench.runner import Run, Watcher

TOLERANCE = 0.02
"""How far the mean of a metric may be from the one told, in its own unit: rounding differs between processors, and
training makes more of it. Rows that were chosen are held to equality."""
EXACT = 1e-6
_PACKAGES = ("sftbench", "torch", "transformers", "peft", "numpy")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What came of running a row again; an attestation where it holds, findings where it does not."""

    row: str
    attestation: Attestation | None
    differences: Mapping[str, Any]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def cell_named(row: str, cells: Sequence[Cell]) -> Cell:
    """The cell `LABEL@BUDGET/SEED`; without a seed, the first. Raises `UsageError` with the nearest name."""
    names = {f"{cell.label}@{cell.budget}/{cell.seed}": cell for cell in reversed(cells)}
    without_seed = {f"{cell.label}@{cell.budget}": cell for cell in sorted(cells, key=lambda each: -each.seed)}
    found = names.get(row) or without_seed.get(row)
    if found is None:
        raise unknown_name("row", row, [*names, *without_seed])
    if found.status == "failed":
        raise UsageError(f"{row} failed when it was published, so there are no numbers to reproduce")
    return found


def reproduce(
    bundle: Path, row: str, cells: Sequence[Cell], *, own: Own, plugins: Plugins, watcher: Watcher,
    tolerance: float = TOLERANCE, name: str = "",
) -> Reproduction:  # fmt: skip
    """Run one row again from the bundle's settings, in a store of its own, and compare.

    It holds when the same rows were chosen (by the hash of their ids) and every mean over items is within `tolerance`;
    `exact` when every item is equal to within 1e-6 as well.
    """
    told = cell_named(row, cells)
    run = planned_again(bundle, own, plugins, told)
    planned = _planned(run, told)
    measured = [*planned.evaluations.values(), *(planned.verdicts.values() if told.verdicts else ())]
    carried_out(run, watcher, [planned.chosen, *measured])
    differences, findings = _compared(run, planned, told, tolerance)
    attestation = None
    if not findings:
        exact = all(each.get("largest", 0.0) <= EXACT for each in differences.values())
        attestation = Attestation(
            row=f"{told.label}@{told.budget}/{told.seed}",
            label=told.label,
            budget=told.budget,
            seed=told.seed,
            outcome="exact" if exact else "close",
            tolerance=tolerance,
            differences=differences,
            made_with=_made_with(run),
            name=name,
        )
    notes = tuple(_other_steps(run, planned, told))
    return Reproduction(
        row=row, attestation=attestation, differences=differences, findings=tuple(findings), notes=notes
    )


def _made_with(run: Run) -> dict[str, Any]:
    versions = {name: version for name, version in installed().items() if name in _PACKAGES}
    about = {"python": platform.python_version(), "machine": platform.machine(), "device": run.facts.device}
    return {**about, "packages": {**versions, "sftbench": own_version()}}


def _planned(run: Run, told: Cell) -> PlannedCell:
    wanted = (told.method, told.label, told.matched_to, told.budget, told.seed)
    for cell in run.plan.cells:
        if (cell.method, cell.label, cell.matched_to, cell.budget, cell.seed) == wanted:
            return cell
    raise UsageError(f"the installed plugins plan no row '{told.label}' at {told.budget}, seed {told.seed}")


def _other_steps(run: Run, planned: PlannedCell, told: Cell) -> list[str]:
    """Parts that have another version here than where the row was made."""
    mine = {planned.chosen, *planned.evaluations.values()}
    for ref in list(mine):
        mine |= run.plan.ancestors(ref)
    here = {(run.plan.steps[ref].room, str(run.plan.steps[ref].identity.get("part", ""))) for ref in mine}
    there = {(step.room, step.part) for step in told.steps}
    keys = {f"{step.room}/{step.key}" for step in told.steps}
    notes = [f"{room}: {part} here, which made no step of the published row" for room, part in sorted(here - there)
             if "@" in part]  # fmt: skip
    if not notes and not mine <= keys:
        notes.append("steps have other keys here than where the row was made: another version, device or embedder")
    return notes


def _compared(
    run: Run, planned: PlannedCell, told: Cell, tolerance: float
) -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    findings: list[Finding] = []
    where = f"{told.label}@{told.budget}/{told.seed}"
    if told.selection is not None:
        found = run.store.ended(planned.chosen).payload["ids_hash"]
        if found != told.selection.ids_hash:
            what = "other rows were chosen (hash of their ids)"
            findings.append(Finding(where=where, what=what, told=told.selection.ids_hash, recomputed=found))
    differences: dict[str, dict[str, Any]] = {}
    for name, ref in planned.evaluations.items():
        payload: Mapping[str, Any] = run.store.ended(ref).payload
        published = told.evaluations.get(name)
        for metric, values in published.items.items() if published else ():
            theirs = dict(zip(published.items_of(metric), values, strict=True)) if published else {}
            differences[f"{name}.{metric}"] = difference_of(theirs, _by_item(payload, metric))
        for metric, number in published.numbers.items() if published else ():
            here = {"": payload.get("numbers", {}).get(metric)}
            differences[f"{name}.{metric}"] = difference_of({"": number}, here)
    first = next(iter(planned.verdicts.values()), None)
    if first is not None and told.verdicts is not None:
        judged: Mapping[str, Any] = run.store.ended(first).payload
        mine = dict(zip(judged["ids"], judged["preference"], strict=False))
        theirs = dict(zip(told.verdicts.ids, told.verdicts.preference, strict=True))
        differences["preference"] = difference_of(theirs, mine)
    for metric, found in differences.items():
        if found["num_missing"] or abs(found["mean_here"] - found["mean_told"]) > tolerance:
            what = f"mean of {metric}, further away than {tolerance:g}"
            missing = f" ({found['num_missing']} items are not on both sides)" if found["num_missing"] else ""
            findings.append(
                Finding(where=where, what=what + missing, told=found["mean_told"], recomputed=found["mean_here"])
            )
    return differences, findings


def _by_item(payload: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    """The values of a metric here, by the items that they are of; some metrics have items of their own."""
    ids = payload.get("ids_of", {}).get(metric, payload["ids"])
    return dict(zip(ids, payload["items"].get(metric, []), strict=False))


def difference_of(told: Mapping[str, float | None], here: Mapping[str, float | None]) -> dict[str, Any]:
    """Means over the items that both have, the largest difference of one, and how many only one side has."""
    both = [item for item in told if told[item] is not None and here.get(item) is not None]
    one_sided = [item for item in {*told, *here} if (told.get(item) is None) != (here.get(item) is None)]
    mine, theirs = (np.array([side[item] for item in both], dtype=np.float64) for side in (here, told))
    apart = np.abs(mine - theirs) / np.maximum(1.0, np.abs(theirs))
    return {
        "mean_told": float(theirs.mean()) if both else 0.0,
        "mean_here": float(mine.mean()) if both else 0.0,
        "largest": float(apart.max()) if both else 0.0,
        "num_differing": int((apart > EXACT).sum()),
        "num_items": len(both),
        "num_missing": len(one_sided),
    }
