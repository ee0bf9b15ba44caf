"""The whole plugin API on one page. A plugin implements the hooks it needs with `@sftbench.hookimpl`.

A distribution announces its plugin module under the entry-point group `sftbench`. Hooks that offer
parts return classes; pluggy only discovers, ordinary objects do the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from sftbench.roles import Evaluator, Generator, Judge, Method, PromptSuite, Scorer, Selector, Suite, Trainer
from sftbench.rooms import Json

hookspec = pluggy.HookspecMarker("sftbench")
hookimpl = pluggy.HookimplMarker("sftbench")


@hookspec
def sftbench_generators() -> Sequence[type[Generator]]:
    """Classes that turn a pool into another pool. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_scorers() -> Sequence[type[Scorer]]:
    """Classes that give every row of a pool a number. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_selectors() -> Sequence[type[Selector]]:
    """Classes that choose rows within an allowance. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_trainers() -> Sequence[type[Trainer]]:
    """Classes that train the base model on a selection. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_evaluators() -> Sequence[type[Evaluator]]:
    """Classes that measure a trained model on held-out rows. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_judges() -> Sequence[type[Judge]]:
    """Classes that compare the responses of two models. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_methods() -> Sequence[Method]:
    """Named recipes over parts; `--methods` takes their names. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_suites() -> Sequence[Suite | PromptSuite]:
    """Pools with base model and held-out tasks, or prompts to be judged. Called once, when plugins are looked up."""
    raise AssertionError("a specification is never called")


@hookspec
def sftbench_step_ended(record: dict[str, Json], run: dict[str, Json]) -> None:
    """Observe a finished step (its record, also of a failure). Called in the process of the runner.

    `run` has `name`, `step` (what the step is called), `num_ended` (how many have ended, this one included), and the
    settings `observers` and `observer_folder`. An implementation may leave it out.
    """
