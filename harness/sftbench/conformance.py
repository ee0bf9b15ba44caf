"""The rules that every plugin must pass, as checks that run on a CPU in under two minutes. Shipped, for strangers too.

Every part does its work in processes of its own, through the same planner, executor and store as a real run: twice with
one seed in two stores, and once with another seed.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sftbench.conformance_bench import Outputs, Trial, trial_material
from sftbench.errors import SftbenchError
from sftbench.fingerprint import canonical
from sftbench.parameters import fields_of, full
from sftbench.plugins import Plugins, load, load_module
from sftbench.roles import ROLES, Needs

HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "sentence_transformers")
LIGHT_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule for one part: `passed`, `failed` with a reason, or `skipped` with a reason."""

    part: str
    rule: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""


def check_plugin(module_name: str) -> list[Check]:
    """Hold a plugin module to the rules. Raises `EnvironmentProblem` when it cannot be imported."""
    load_module(module_name)
    checks = [_light_import(module_name)]
    with _known_to_workers(module_name):
        plugins = load()
        name = _registered_name(plugins, module_name)
        parts = [
            (role, offered.part_class)
            for role in ROLES
            for offered in plugins.parts[role].values()
            if offered.plugin == name
        ]
        methods = [each for each in plugins.methods.values() if plugins.plugin_of[f"method:{each.name}"] == name]
        for each in plugins.broken:
            if each.name in (name, module_name):
                checks.append(Check(part=module_name, rule="loads", outcome="failed", detail=each.reason))
        for role, part_class in parts:
            checks += _static(role, part_class)
        with tempfile.TemporaryDirectory(prefix="sftbench-check-") as folder:
            checks += _dynamic(plugins, parts, methods, Path(folder))
    return checks


def verdict(checks: Sequence[Check]) -> tuple[bool, str]:
    """Whether a plugin passes, in words. A plugin of which nothing was tried does not pass."""
    counts = {outcome: sum(check.outcome == outcome for check in checks) for outcome in ("passed", "failed", "skipped")}
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    worked = any(check.rule == "works" and check.outcome == "passed" for check in checks)
    if counts["failed"]:
        return False, words
    return (True, words) if worked else (False, f"{words}; no part was seen to work, which is a failure")


def _registered_name(plugins: Plugins, module_name: str) -> str:
    for name, plugin in plugins.manager.list_name_plugin():
        if getattr(plugin, "__name__", None) == module_name:
            return name
    return module_name


@contextmanager
def _known_to_workers(module_name: str) -> Iterator[None]:
    """Let worker processes load the module although it may not be installed."""
    before = os.environ.get("SFTBENCH_PLUGINS"), os.environ.get("PYTHONPATH")
    os.environ["SFTBENCH_PLUGINS"] = ",".join(filter(None, [before[0], module_name]))
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        for name, value in zip(("SFTBENCH_PLUGINS", "PYTHONPATH"), before, strict=True):
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _light_import(module_name: str) -> Check:
    """Importing a plugin must not import what only working needs: `bench list` imports all of them."""
    code = (
        "import sys, time, importlib; import sftbench; started = time.perf_counter(); "
        "importlib.import_module(sys.argv[1]); print(time.perf_counter() - started); "
        f"print(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(  # noqa: S603 -- our own interpreter, no shell
        [sys.executable, "-c", code, module_name], capture_output=True, text=True, env=environment, check=False
    )
    rule = "imports lightly"
    if done.returncode:
        return Check(part=module_name, rule=rule, outcome="failed", detail=done.stderr.strip().splitlines()[-1])
    seconds, heavy = done.stdout.splitlines()[-2:] if done.stdout.count("\n") > 1 else (done.stdout.strip(), "")
    if heavy:
        return Check(
            part=module_name, rule=rule, outcome="failed", detail=f"imports {heavy}; import it where it is used"
        )
    if float(seconds) > LIGHT_SECONDS:
        return Check(part=module_name, rule=rule, outcome="failed", detail=f"takes {float(seconds):.1f} s")
    return Check(part=module_name, rule=rule, outcome="passed")


def _static(role: str, part_class: type[Any]) -> Iterator[Check]:
    """Rules that need no work: a documented frozen dataclass whose parameters have defaults and a stable form."""
    label = f"{role} {part_class.name}"

    def check(rule: str, problem: str) -> Check:
        return Check(part=label, rule=rule, outcome="failed" if problem else "passed", detail=problem)

    is_frozen = dataclasses.is_dataclass(part_class) and part_class.__dataclass_params__.frozen  # type: ignore[attr-defined]
    yield check("is a frozen dataclass", "" if is_frozen else "declare it with @dataclass(frozen=True, kw_only=True)")
    undocumented = [name for name, field in fields_of(part_class).items() if not field.metadata.get("doc")]
    problem = (
        "" if part_class.__doc__ and not undocumented else f"no documentation: {', '.join(undocumented) or 'the class'}"
    )
    yield check("is documented", problem)
    try:
        part = part_class()
        canonical(full(part))
        needs = part.needs()
        problem = "" if isinstance(needs, Needs) else f"needs() gave {type(needs).__name__} instead of Needs"
    except (TypeError, SftbenchError) as wrong:
        problem = str(wrong)
    yield check("has defaults of a stable form", problem)


def _dynamic(
    plugins: Plugins, parts: Sequence[tuple[str, type[Any]]], methods: Sequence[Any], folder: Path
) -> list[Check]:
    """Let every part work, in processes of its own, and compare what came out."""
    material = trial_material(folder)
    trial = Trial(plugins=plugins, material=material, parts=parts, methods=methods)
    first = trial.run(folder / "first", seed=1)
    again = trial.run(folder / "again", seed=1)
    other = trial.run(folder / "other", seed=2)
    checks: list[Check] = []
    for label, deterministic in trial.tried:
        checks += _compared(label, deterministic, first, again, other)
    untouched = trial.material_key() == material.key
    detail = "" if untouched else "the pool or the model folder was changed"
    checks.append(
        Check(part="inputs", rule="are left untouched", outcome="passed" if untouched else "failed", detail=detail)
    )
    return checks


def _compared(label: str, deterministic: bool, first: Outputs, again: Outputs, other: Outputs) -> Iterator[Check]:
    failure = first.failures.get(label)
    yield Check(part=label, rule="works", outcome="failed" if failure else "passed", detail=failure or "")
    if failure:
        yield Check(part=label, rule="same seed, same result", outcome="skipped", detail="it did not work")
        return
    same = first.hashes[label] == again.hashes.get(label)
    detail = "" if same else "two processes with one seed gave different results"
    yield Check(part=label, rule="same seed, same result", outcome="passed" if same else "failed", detail=detail)
    if deterministic:
        same = first.hashes[label] == other.hashes.get(label)
        detail = "" if same else "declared deterministic, but another seed gave another result"
        yield Check(
            part=label, rule="is as deterministic as it says", outcome="passed" if same else "failed", detail=detail
        )
