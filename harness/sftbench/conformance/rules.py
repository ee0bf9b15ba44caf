"""The rules themselves: what is looked at, and in which words a plugin's author hears of it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sftbench.conformance.trial import Outputs
from sftbench.errors import SftbenchError
from sftbench.fingerprint import canonical
from sftbench.parameters import fields_of, full
from sftbench.plugins import Plugins
from sftbench.pools.files import SUFFIXES
from sftbench.record import Failure, Record
from sftbench.roles import Needs, PromptSuite, Suite
from sftbench.settings import check_settings
from sftbench.survey import model_facts

HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "sentence_transformers")
LIGHT_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """One rule for one part: `passed`, `failed` with a reason, or `skipped` with a reason."""

    part: str
    rule: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""


def _check(part: str, rule: str, problem: str) -> RuleOutcome:
    return RuleOutcome(part=part, rule=rule, outcome="failed" if problem else "passed", detail=problem)


def light_import(module_name: str) -> RuleOutcome:
    """Importing a plugin must not import what only working needs: `bench list` imports all of them.

    Processor time counts, so that a busy machine makes no plugin heavy.
    """
    code = (
        "import sys, time, importlib; import sftbench; started = time.process_time(); "
        "importlib.import_module(sys.argv[1]); seconds = time.process_time() - started; "
        f"print(); print(seconds, *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(  # noqa: S603 -- our own interpreter, no shell
        [sys.executable, "-c", code, module_name], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode or not done.stdout:
        problem = (done.stderr.strip() or f"importing it ends the process, exit code {done.returncode}").splitlines()[
            -1
        ]
        return _check(module_name, "imports lightly", problem)
    seconds, *heavy = done.stdout.splitlines()[-1].split()
    problem = f"takes {float(seconds):.1f} s" if float(seconds) > LIGHT_SECONDS else ""
    if heavy:
        problem = f"imports {', '.join(heavy)}; import it where it is used"
    return _check(module_name, "imports lightly", problem)


def of_part(role: str, part_class: type[Any]) -> Iterator[RuleOutcome]:
    """Rules that need no work: a documented frozen dataclass whose parameters have defaults and a stable form."""
    label = f"{role} {part_class.name}"
    is_frozen = dataclasses.is_dataclass(part_class) and part_class.__dataclass_params__.frozen  # type: ignore[attr-defined]
    problem = "" if is_frozen else "declare it with @dataclass(frozen=True, kw_only=True)"
    yield _check(label, "is a frozen dataclass", problem)
    undocumented = [name for name, field in fields_of(part_class).items() if not field.metadata.get("doc")]
    # A dataclass without a docstring is given its signature as one.
    if not part_class.__doc__ or part_class.__doc__.startswith(f"{part_class.__name__}("):
        undocumented.insert(0, "the class itself")
    yield _check(label, "is documented", f"no documentation: {', '.join(undocumented)}" if undocumented else "")
    try:
        part = part_class()
        canonical(full(part))
        needs = part.needs()
        problem = "" if isinstance(needs, Needs) else f"needs() gave {type(needs).__name__} instead of Needs"
    except Exception as wrong:
        problem = f"{type(wrong).__name__}: {wrong}"
    yield _check(label, "has defaults of a stable form", problem)


def of_suite(suite: Suite) -> Iterator[RuleOutcome]:
    """A suite's settings are settings, and its base is a model."""
    try:
        check_settings({"methods": ["none"], **suite.defaults})
        model_facts(str(suite.base), name=suite.name)
        problem = ""
    except SftbenchError as wrong:
        problem = str(wrong)
    yield _check(f"suite {suite.name}", "has known settings and a base model", problem)


def of_prompt_suite(suite: PromptSuite) -> Iterator[RuleOutcome]:
    """A suite of prompts has known settings and files of a known kind; its prompts lie elsewhere."""
    problem = ""
    try:
        check_settings({"methods": ["none"], **suite.defaults})
    except SftbenchError as wrong:
        problem = str(wrong)
    unread = [name for name in suite.files if not name.endswith(SUFFIXES)]
    problem = problem or ("it names no files" if not suite.files else "")
    problem = problem or (f"{unread[0]} is none of {', '.join(SUFFIXES)}" if unread else "")
    yield _check(f"suite {suite.name}", "works", problem)


def of_observer(plugins: Plugins, plugin: str) -> RuleOutcome:
    """Whoever observes steps must take any record; this one is of a step that failed."""
    failure = Failure.of(ValueError("a trial"))
    record = Record(key="0" * 64, room="scores", identity={}, status="failed", failure=failure)
    others = [each for name, each in plugins.manager.list_name_plugin() if name != plugin]
    try:
        told = json.loads(record.to_json())
        plugins.manager.subset_hook_caller("sftbench_step_ended", others)(record=told, run={})
    except Exception as wrong:
        return _check("observer", "works", f"{type(wrong).__name__}: {wrong}")
    return _check("observer", "works", "")


def of_trials(first: Outputs, again: Outputs, labels: Sequence[str]) -> Iterator[RuleOutcome]:
    """What two trials with one seed have shown of the parts of one plugin."""
    for label in labels:
        changed = sorted({*first.changed.get(label, ()), *again.changed.get(label, ())})
        yield _check(label, "leaves its inputs untouched", f"wrote into {', '.join(changed)}" if changed else "")
        failure = first.failures.get(label)
        yield _check(label, "works", failure or "")
        if failure:
            continue
        if label in first.in_tokens:
            yield _check(label, "keeps a budget in tokens", first.in_tokens[label])
        same = first.hashes[label] == again.hashes.get(label)
        problem = "" if same else again.failures.get(label) or "two processes with one seed gave different results"
        yield _check(label, "same seed, same result", problem)
