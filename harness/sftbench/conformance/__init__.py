"""The rules that every plugin must pass, as checks that run on a CPU in under two minutes. Shipped, for strangers too.

Every part does its work through the same planner, executor and store as a real run, twice with one seed, in other
processes and another store each time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sftbench.conformance.material import trial_material
from sftbench.conformance.offers import Offer, offered
from sftbench.conformance.rules import (
    RuleOutcome,
    light_import,
    of_observer,
    of_part,
    of_prompt_suite,
    of_suite,
    of_trials,
)
from sftbench.conformance.trial import PluginTrial
from sftbench.plugins import Plugins, load, load_module

__all__ = ["RuleOutcome", "check_plugin", "check_plugins", "verdict"]


def check_plugin(module_name: str) -> list[RuleOutcome]:
    """Hold a plugin module to the rules. Raises `EnvironmentProblem` when it cannot be imported."""
    return check_plugins([module_name])[module_name]


def check_plugins(module_names: Sequence[str]) -> dict[str, list[RuleOutcome]]:
    """Hold several plugin modules to the rules together, which costs little more than one. Checks by module."""
    for name in module_names:
        load_module(name)
    checks = {name: [light_import(name)] for name in module_names}
    with _known_to_workers(module_names):
        plugins = load()
        offers = {name: offered(plugins, name) for name in module_names}
        for name, offer in offers.items():
            for reason in offer.broken:
                checks[name].append(RuleOutcome(part=name, rule="loads", outcome="failed", detail=reason))
            for role, part_class in offer.parts:
                checks[name] += of_part(role, part_class)
            for suite in offer.suites:
                checks[name] += of_suite(suite)
            for prompts in offer.prompt_suites:
                checks[name] += of_prompt_suite(prompts)
            if offer.observes:
                checks[name].append(of_observer(plugins, offer.plugin))
        for name, found in _tried(plugins, offers).items():
            checks[name] += found
    return checks


def verdict(checks: Sequence[RuleOutcome]) -> tuple[bool, str]:
    """Whether a plugin passes, in words. A plugin of which nothing was tried does not pass."""
    counts = {outcome: sum(check.outcome == outcome for check in checks) for outcome in ("passed", "failed", "skipped")}
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    worked = any(check.rule == "works" and check.outcome == "passed" for check in checks)
    if counts["failed"]:
        return False, words
    return (True, words) if worked else (False, f"{words}; no part was seen to work, which is a failure")


def _tried(plugins: Plugins, offers: dict[str, Offer]) -> dict[str, list[RuleOutcome]]:
    """Let every part work, in processes of its own, and compare what came out."""
    if not any(offer.does_something for offer in offers.values()):
        return {}
    with tempfile.TemporaryDirectory(prefix="sftbench-check-") as name:
        folder = Path(name)
        trial = PluginTrial(plugins=plugins, material=trial_material(folder), offers=offers)
        first, again = trial.run(folder / "first"), trial.run(folder / "again")
    return {name: list(of_trials(first, again, trial.labels[name])) for name in offers}


@contextmanager
def _known_to_workers(module_names: Sequence[str]) -> Iterator[None]:
    """Let worker processes load the modules although they may not be installed."""
    before = os.environ.get("SFTBENCH_PLUGINS"), os.environ.get("PYTHONPATH")
    os.environ["SFTBENCH_PLUGINS"] = ",".join(filter(None, [before[0], *module_names]))
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        for name, value in zip(("SFTBENCH_PLUGINS", "PYTHONPATH"), before, strict=True):
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
