"""Planning the run of a bundle again on this machine, with one's own inputs, held to what the bundle tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.errors import SftbenchError, UsageError, VerificationError
from sftbench.fingerprint import user_cache
from sftbench.plan import Ref
from sftbench.plugins import Plugins
from sftbench.pools.files import SUFFIXES
from sftbench.prompting import REFERENCE, places
from sftbench.publishing.asking import asking_again, names_a_model
from sftbench.publishing.layout import RECORDS, run_in
from sftbench.publishing.manifest import seal_of
from sftbench.publishing.own import OWN, Own
from sftbench.runner import Run, Watcher, carry_out, prepare
from sftbench.settings import RunSettings, check_settings

UNTOLD = (
    "results", "board", "store", "redo", "observers", "observer_folder", "task_data", "allow_code_execution", "vllm",
    "concurrency",
)  # fmt: skip
"""What a stranger's configuration may not decide here: where files lie, who is told, and what may be executed."""
COPIES = ("pool", "base", "heldout", "lm")
"""Inputs of which everybody has a copy of their own."""


@dataclass(frozen=True, kw_only=True)
class Again:
    """A run that is made again, and the evaluators that nobody here stands in for."""

    run: Run
    left_out: tuple[str, ...] = ()


def told_settings(bundle: Path) -> dict[str, Any]:
    """The settings of `run.json`. Raises `VerificationError` where it has none."""
    told = run_in(bundle / RECORDS).get("settings")
    if not isinstance(told, dict):
        raise VerificationError("run.json does not tell its settings")
    return told


def planned_again(bundle: Path, own: Own, plugins: Plugins, cell: Cell) -> Again:
    """The bundle's run, with the settings that it became, in a store of its own: what is there already proves nothing.

    Raises `UsageError` when pool, base, prompts or answers are not those of the bundle, or cannot be found, and for a
    language model that nobody here has named.
    """
    told = told_settings(bundle)
    given = own.given
    for name in COPIES:
        if told.get(name) is not None and name not in given:
            raise UsageError(f"the run was made with --{name} {told[name]}; say where yours lies, with --{name}")
    if told.get("allow_code_execution") is True and not given.get("allow_code_execution"):
        raise UsageError("the run executed code that models wrote; let that be done here with --allow-code-execution")
    asking = asking_again(told, own, plugins)
    values = _values(bundle, told if asking.judges else {**told, "baseline": None}, own)
    values |= {"judge": list(asking.judges) or None, "evals": list(asking.evals)}
    if not asking.judges and not asking.evals:
        raise UsageError("without a judge nothing of the run is left to compare; name one with --judge")
    _refuse_models(values, given, cell)
    run = prepare(check_settings(values), values, plugins)
    _refuse_other_inputs(run, cell)
    return Again(run=run, left_out=asking.left_out)


def questions_again(bundle: Path, judge: str, own: Own, plugins: Plugins, cells: Sequence[Cell]) -> Run:
    """A run of which only the held-out rows, and the answers that no method gave, are made: nothing is chosen or
    trained, so that prompts of a suite need neither pool nor base."""
    told = told_settings(bundle)
    by_prompts = cells[0].prompts is not None
    for name in COPIES[:3]:
        if told.get(name) is not None and name not in own.given and not by_prompts:
            raise UsageError(f"the run was made with --{name} {told[name]}; say where yours lies, with --{name}")
    values = _values(bundle, told, own)
    values |= {
        "methods": ["random"], "controls": "none", "evals": [], "judge": [judge], "describe": [], "lm": None,
        "trainer": RunSettings.model_fields["trainer"].default, "contamination": "none",
        "chat": own.given.get("chat"),
    }  # fmt: skip
    values |= {"pool": None, "base": None, "limit_pool": None} if by_prompts else {}
    if not _is_file_or_reference(values.get("baseline")):
        values["baseline"] = None
    run = prepare(check_settings(values), values, plugins)
    if not by_prompts:
        _refuse_other_pool(run, cells[0])
    _refuse_other_questions(run, {f"{step.room}/{step.key}" for cell in cells for step in cell.steps})
    return run


def _values(bundle: Path, told: Mapping[str, Any], own: Own) -> dict[str, Any]:
    """Settings for a run here: the bundle's, one's own in their place, and files by where they lie here."""
    values = {name: value for name, value in told.items() if name in RunSettings.model_fields and name not in UNTOLD}
    store = own.given.get("store") or user_cache() / "reproductions" / seal_of(bundle)[:16]
    values |= {**own.given, "store": store, "redo": "missing"}
    if str(values.get("suite") or "").endswith(SUFFIXES):
        values["suite"] = _file_here("suite", str(values["suite"]), own)
    baseline = values.get("baseline")
    if _is_file_or_reference(baseline) and baseline != REFERENCE:
        file, sign, model = str(baseline).partition("#")
        values["baseline"] = _file_here("baseline", file, own) + sign + model
    return values


def _is_file_or_reference(baseline: object) -> bool:
    named = str(baseline or "").partition("#")[0]
    return named == REFERENCE or named.endswith(SUFFIXES)


def _file_here(setting: str, named: str, own: Own) -> str:
    """One's own file of a name, in the folder of task data; what the bundle says of folders leads nowhere here."""
    name = re.split(r"[/\\]", named)[-1]
    if own.task_data is None:
        raise UsageError(f"the run was made with --{setting} {name}; name the folder that yours is in with --task-data")
    if not own.task_data.is_dir():
        raise UsageError(f"--task-data {own.task_data}: there is no such folder")
    for place in places(own.task_data):
        if place != Path() and (place / name).is_file():
            return str(place / name)
    raise UsageError(f"the run was made with --{setting} {name}, and there is no {name} in {own.task_data}")


def _refuse_models(values: dict[str, Any], given: Mapping[str, Any], cell: Cell) -> None:
    """A stranger's bundle may not have this machine ask a language model that its user has not named: a key would go
    along, or a model would be fetched and served.

    One that the row asked nothing of is left away.
    """
    if values.get("chat") is not None and "chat" not in given and not cell.asked:
        values["chat"] = None
    for name, value in values.items():
        if name not in ("judge", "evals", *given) and names_a_model(json.dumps(value, default=str)):
            instead = f"; name your own with --{name}" if name in OWN else ""
            raise UsageError(f"the run asked a server ({name}: {value}), which is not asked from here{instead}")


def _refuse_other_inputs(run: Run, cell: Cell) -> None:
    told = {f"{step.room}/{step.key}" for step in cell.steps}
    if run.facts.prompts is not None and (cell.evaluations or cell.judgements):
        # Rows of the pool that repeat a prompt are left out, so that other prompts make another pool too.
        _refuse_other_questions(run, told)
    _refuse_other_pool(run, cell)
    if run.facts.base.fingerprint != cell.base.fingerprint:
        raise UsageError(_other("base model", run.facts.base.fingerprint, cell.base.fingerprint))
    if cell.evaluations or cell.judgements:
        _refuse_other_questions(run, told)


def _refuse_other_pool(run: Run, cell: Cell) -> None:
    if run.plan.pool != cell.pool.key:
        raise UsageError(_other("pool", run.plan.pool, cell.pool.key))


def _other(what: str, here: str, there: str) -> str:
    return f"the {what} here is not the one of the bundle: {here} here, {there} there"


def _refuse_other_questions(run: Run, told: set[str]) -> None:
    """Held-out rows, or prompts, and the answers that were judged against, by the keys of their content."""
    prompts = run.facts.prompts
    if run.plan.heldout not in told:
        source = (run.facts.heldout_source or {}).get("prompts")
        what = f"prompts of {prompts.suite} in {source}" if prompts and source else "held-out rows"
        raise UsageError(
            f"the {what} are not those of the bundle: their content gives other keys than its records have"
        )
    given, step = run.facts.answers, answers_step(run)
    if given is not None and step is not None and step not in told:
        where = f" in {given.source}" if given.source else ""
        raise UsageError(f"the answers of {given.label}{where} are not those that the bundle was judged against")


def answers_step(run: Run) -> Ref | None:
    """The step that reads answers which no method of the run gave; None where there are none."""
    found = (ref for ref, step in run.plan.steps.items() if step.room == "responses" and "answers" in step.identity)
    return next(found, None)


def carried_out(run: Run, watcher: Watcher, ends: Iterable[Ref]) -> None:
    """Do some steps and all that they rest on. Raises `SftbenchError` with the first failure."""
    needed = set(ends)
    for ref in list(needed):
        needed |= run.plan.ancestors(ref)
    outcomes = carry_out(run, watcher, only=lambda step: step.ref in needed)
    for ref, step in run.plan.steps.items():
        if ref in needed and outcomes.get(ref) != "done":
            record = run.store.record_of(ref)
            failure = record.failure if record is not None else None
            why = failure.message if failure is not None else f"see the logs in {run.store.root / 'logs'}"
            raise SftbenchError(f"'{step.label}' failed: {why}")
