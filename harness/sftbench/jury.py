"""Who judges: from what the user names to judges with names for the records, and to evaluators that grade."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sftbench.errors import UsageError
from sftbench.judging.naming import judge_use
from sftbench.parameters import PartUse
from sftbench.plugins import Plugins
from sftbench.roles import PromptSuite

MODEL = "model"
"""The parameter by which judges and graders name their language model."""


def judges_of(
    named: Sequence[str] | None, plugins: Plugins, suite: PromptSuite | None, *, given: bool
) -> dict[str, Any]:
    """The judges, by the name that records and board have for each, in the order given.

    Raises `UsageError` for one named twice, and where a suite of prompts is to be judged and nothing was said of it.
    """
    if suite is not None and not given:
        raise UsageError(
            f"the prompts of {suite.name} are judged by a language model: name it with --judge vllm:MODEL or --judge "
            "URL#MODEL. Without one, --judge checker tells how close the words are to a reference answer, where the "
            "suite has them, and --judge none judges nothing (give --evals then)"
        )
    uses = [judge_use(text) for text in named or ()]
    found: dict[str, Any] = {}
    for use in uses:
        part = plugins.part("judge", use)
        label = _label(use) if sum(each.name == use.name for each in uses) > 1 or MODEL in use.parameters else use.name
        if label in found:
            raise UsageError(f"--judge names {label} twice")
        found[label] = part
    return found


def _label(use: PartUse) -> str:
    """As given, but of a path only the last part: records are for publishing."""
    return str(PartUse(name=use.name, parameters={key: _published(value) for key, value in use.parameters.items()}))


def _published(value: object) -> str:
    name = str(value).rpartition("#")[2].removeprefix("vllm:").rstrip("/")
    return re.split(r"[/\\]", name)[-1]


def grading(suite: PromptSuite | None, named: Sequence[str] | None) -> list[str]:
    """The evaluators that a suite brings where the first judge named is a language model, with that model."""
    model = next(
        (judge_use(text).parameters[MODEL] for text in named or () if MODEL in judge_use(text).parameters), None
    )
    return [] if suite is None or model is None else [f"{name}[{MODEL}={model}]" for name in suite.graders]
