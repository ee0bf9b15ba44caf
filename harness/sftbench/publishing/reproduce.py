"""Running one row of a bundle again, and comparing what was chosen and what came of it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.board.cells import Cell
from sftbench.errors import UsageError, unknown_name
from sftbench.judging.card.keeping import asks_a_model
from sftbench.plan import PlannedCell, Ref
from sftbench.plugins import Plugins
from sftbench.publishing.again import carried_out, planned_again
from sftbench.publishing.allowance import EXACT, STANDARD_ERRORS, TOLERANCE
from sftbench.publishing.crosscheck import identities
from sftbench.publishing.judged_again import JudgedAgain, judged_again
from sftbench.publishing.layout import Discrepancy
from sftbench.publishing.levels import Attestation
from sftbench.publishing.lock import installed, own_version
from sftbench.publishing.own import Own
from sftbench.runner import Run, Watcher

_PACKAGES = ("sftbench", "torch", "transformers", "peft", "numpy")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What came of running a row again; an attestation where it holds, findings where it does not."""

    row: str
    attestation: Attestation | None
    differences: Mapping[str, Any]
    findings: tuple[Discrepancy, ...]
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

    It holds when the same rows were chosen (by the hash of their ids) and every mean over items is within `tolerance`,
    or, where a language model judges or grades, within four standard errors of the difference if that is more; `exact`
    when every item is equal to within 1e-6 as well.
    """
    told = cell_named(row, cells)
    again = planned_again(bundle, own, plugins, told)
    run, planned = again.run, _planned(again.run, told)
    _refuse_other_tasks(bundle, run, planned, told)
    judged, unjudged = judged_again(run, planned, told)
    measured = {name: ref for name, ref in planned.evaluations.items() if name in told.evaluations}
    if not measured and not judged:
        raise UsageError(
            f"{row}: nothing that was measured is measured here; without {', '.join(unjudged)} none is left"
        )
    carried_out(run, watcher, [planned.chosen, *measured.values(), *(each.step for each in judged)])
    where = f"{told.label}@{told.budget}/{told.seed}"
    findings = list(_other_rows(run, planned, told, where))
    compared = [*_evaluated(run, measured, told), *_judged(run, judged)]
    findings += [found for each in compared for found in each.findings(where, tolerance)]
    differences = {each.metric: each.difference for each in compared}
    if not findings and not any(each["num_items"] for each in differences.values()):
        raise UsageError(f"{row}: nothing that is compared has a value on both sides, so that nothing is reproduced")
    left_out = [*again.left_out, *unjudged]
    others = {each.told.judge: _other_judge(each) for each in judged if not each.same}
    attestation = None
    if not findings:
        exact = all(each.get("largest", 0.0) <= EXACT for each in differences.values())
        attestation = Attestation(
            row=where,
            label=told.label,
            budget=told.budget,
            seed=told.seed,
            outcome="exact" if exact else "close",
            tolerance=tolerance,
            differences=differences,
            made_with=_made_with(run),
            name=name,
            left_out=[each for each in left_out if each in told.evaluations or each in unjudged],
            other_judges=others,
        )
    notes = [*_other_steps(run, planned, told), *_reservations(left_out, others)]
    return Reproduction(
        row=row, attestation=attestation, differences=differences, findings=tuple(findings), notes=tuple(notes)
    )


def _reservations(left_out: Sequence[str], others: Mapping[str, str]) -> Iterator[str]:
    """What was not compared, or not with its like."""
    for each in left_out:
        yield f"the numbers of {each} were not compared: it asks a language model, or was not named with --judge"
    for published, here in others.items():
        yield f"the verdicts of {published} were held to those of {here}"


def _other_judge(judged: JudgedAgain) -> str:
    """Another judge by its name; of the same name it is served from elsewhere, or has other settings."""
    return judged.here if judged.here != judged.told.judge else f"{judged.here} at another address or otherwise set"


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


def _refuse_other_tasks(bundle: Path, run: Run, planned: PlannedCell, told: Cell) -> None:
    """Raises `UsageError` where files of tasks are not those of the published steps, if the bundle tells these."""
    there = {
        str(identity["part"]).partition("@")[0]: identity
        for identity in identities(bundle, {step.key for step in told.steps if step.room == "evaluation"})
        if "part" in identity
    }
    for name, ref in planned.evaluations.items():
        here = run.plan.steps[ref].identity
        for key in {*here, *there.get(name, {})} if name in there else ():
            if key.startswith(("file:", "folder:")) and here.get(key) != there[name].get(key):
                is_here = "here is not that of the bundle" if key in here else "is not here"
                raise UsageError(
                    f"the task data of {name} ({key.partition(':')[2]}) {is_here}; name yours with --task-data"
                )


def _other_rows(run: Run, planned: PlannedCell, told: Cell, where: str) -> Iterator[Discrepancy]:
    if told.selection is not None:
        found = run.store.ended(planned.chosen).payload["ids_hash"]
        if found != told.selection.ids_hash:
            what = "other rows were chosen (hash of their ids)"
            yield Discrepancy(where=where, what=what, told=told.selection.ids_hash, recomputed=found)


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """One metric on both sides; `may_differ` where a language model gave it, which says not always the same."""

    metric: str
    difference: Mapping[str, Any]
    may_differ: bool

    def findings(self, where: str, tolerance: float) -> Iterator[Discrepancy]:
        found = self.difference
        error = STANDARD_ERRORS * found["standard_error"] if self.may_differ else 0.0
        is_apart = abs(found["mean_here"] - found["mean_told"]) > max(tolerance, error)
        is_missing = found["num_missing"] and (not self.may_differ or not found["num_items"])
        if is_apart or is_missing:
            missing = f" ({found['num_missing']} items are not on both sides)" if found["num_missing"] else ""
            bound = f"{STANDARD_ERRORS:g} standard errors" if error > tolerance else f"{tolerance:g}"
            what = f"mean of {self.metric}, further away than {bound}{missing}"
            yield Discrepancy(where=where, what=what, told=found["mean_told"], recomputed=found["mean_here"])


def _evaluated(run: Run, measured: Mapping[str, Ref], told: Cell) -> Iterator[_Compared]:
    for name, ref in measured.items():
        payload: Mapping[str, Any] = run.store.ended(ref).payload
        published = told.evaluations[name]
        for metric, values in published.items.items():
            theirs = dict(zip(published.items_of(metric), values, strict=True))
            yield _Compared(
                metric=f"{name}.{metric}",
                difference=difference_of(theirs, _by_item(payload, metric)),
                may_differ=asks_a_model(run.plan.steps[ref].identity),
            )
        for metric, number in published.numbers.items():
            yield _Compared(
                metric=f"{name}.{metric}",
                difference=difference_of({"": number}, {"": payload.get("numbers", {}).get(metric)}),
                may_differ=asks_a_model(run.plan.steps[ref].identity),
            )


def _judged(run: Run, judged: Sequence[JudgedAgain]) -> Iterator[_Compared]:
    for each in judged:
        payload: Mapping[str, Any] = run.store.ended(each.step).payload
        mine = dict(zip(payload["ids"], payload["preference"], strict=False))
        theirs = dict(zip(each.told.ids, each.told.preference, strict=True))
        metric = f"preference.{each.told.judge}"
        yield _Compared(metric=metric, difference=difference_of(theirs, mine), may_differ=each.may_differ)


def _by_item(payload: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    """The values of a metric here, by the items that they are of; some metrics have items of their own."""
    ids = payload.get("ids_of", {}).get(metric, payload["ids"])
    return dict(zip(ids, payload["items"].get(metric, []), strict=False))


def difference_of(told: Mapping[str, float | None], here: Mapping[str, float | None]) -> dict[str, Any]:
    """Means over the items that both have, the standard error of their difference, the largest difference of one, and
    how many only one side has."""
    both = [item for item in told if told[item] is not None and here.get(item) is not None]
    one_sided = [item for item in {*told, *here} if (told.get(item) is None) != (here.get(item) is None)]
    mine, theirs = (np.array([side[item] for item in both], dtype=np.float64) for side in (here, told))
    apart = np.abs(mine - theirs) / np.maximum(1.0, np.abs(theirs))
    return {
        "mean_told": float(theirs.mean()) if both else 0.0,
        "mean_here": float(mine.mean()) if both else 0.0,
        "standard_error": float((mine - theirs).std(ddof=1) / np.sqrt(len(both))) if len(both) > 1 else 0.0,
        "largest": float(apart.max()) if both else 0.0,
        "num_differing": int((apart > EXACT).sum()),
        "num_items": len(both),
        "num_missing": len(one_sided),
    }
