"""Planning the run of a bundle again on this machine, with one's own pool and base, held to what the bundle tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.errors import SftbenchError, UsageError, VerificationError
from sftbench.fingerprint import user_cache
from sftbench.plan import Ref
from sftbench.plugins import Plugins
from sftbench.publishing.layout import RECORDS, json_in
from sftbench.publishing.manifest import seal_of
from sftbench.runner import Run, Watcher, carry_out, prepare
from sftbench.settings import RunSettings, check_settings

UNTOLD = ("results", "board", "store", "redo", "observers", "observer_folder")
"""What a stranger's configuration may not decide here: where files lie, and who is told."""
OWN = ("pool", "base", "heldout", "lm", "embedder", "chat", "workers", "store")


@dataclass(frozen=True, kw_only=True)
class Own:
    """Where things lie here: settings named in `OWN` that take the place of the publisher's."""

    settings: Mapping[str, Any] = field(default_factory=dict)


def planned_again(bundle: Path, own: Own, plugins: Plugins, cell: Cell) -> Run:
    """The bundle's run, with the settings that it became, in a store of its own: what is there already proves nothing.

    Raises `UsageError` when pool or base are not those of the bundle, or cannot be found.
    """
    about = json_in(bundle / RECORDS / "run.json", "run.json")
    told = about.get("settings")
    if not isinstance(told, dict):
        raise VerificationError("run.json does not tell its settings")
    values = {name: value for name, value in told.items() if name in RunSettings.model_fields and name not in UNTOLD}
    given = {name: value for name, value in own.settings.items() if value is not None}
    for name in ("pool", "base"):
        if values.get(name) is not None and name not in given:
            raise UsageError(f"the run was made with --{name} {values[name]}; say where yours lies, with --{name}")
    _refuse_addresses(values, given)
    store = given.get("store") or user_cache() / "reproductions" / seal_of(bundle)[:16]
    values |= {**given, "store": store, "redo": "missing"}
    named = values.get("judge")
    if isinstance(named, list):
        values["judge"] = [each for each in named if "://" not in str(each)] or None
    run = prepare(check_settings(values), given, plugins)
    for what, here, there in (
        ("pool", run.plan.pool, cell.pool.key),
        ("base model", run.facts.base.fingerprint, cell.base.fingerprint),
    ):
        if here != there:
            raise UsageError(f"the {what} here is not the one of the bundle: {here} here, {there} there")
    return run


def _refuse_addresses(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    """A stranger's bundle may not have this machine ask a server that its user has not named: a key would go along.

    Verdicts of a judge behind an address are left out, to be made again with `--rejudge` and a judge of one's own.
    """
    for name, value in values.items():
        if name not in ("judge", *given) and "://" in json.dumps(value):
            instead = f"; name your own with --{name}" if name in OWN else ""
            raise UsageError(f"the run asked a server ({name}: {value}), which is not asked from here{instead}")


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
