"""Who judges: from what the user names to judges with names for the records, and to evaluators that grade."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sftbench.errors import UsageError
from sftbench.judging.naming import judge_use
from sftbench.parameters import PartUse, fields_of
from sftbench.plugins import Plugins
from sftbench.roles import PromptSuite
from sftbench.serving.description import PREFIX

MODEL = "model"
"""The parameter by which judges and graders name their language model."""
TEMPLATE = "template"
"""The parameter by which they name their words, which differ from one task to the other."""

ALIKE = (
    ": records know judges by their models' names and not by places, so give one of these models another name, by a "
    "link to its folder or where it is served"
)


def judges_of(
    named: Sequence[str] | None, plugins: Plugins, suite: PromptSuite | None, *, given: bool
) -> dict[str, Any]:
    """The judges, by the name that records and board have for each, in the order given.

    Raises `UsageError` for two that cannot be told apart, and where a suite of prompts is to be judged and nothing was
    said of it.
    """
    if suite is not None and not given:
        raise UsageError(
            f"the prompts of {suite.name} are judged by a language model: name it with --judge vllm:MODEL or --judge "
            "URL#MODEL. Without one, --judge checker tells how close the words are to a reference answer, where the "
            "suite has them, and --judge none judges nothing (give --evals then)"
        )
    uses = [judge_use(text) for text in named or ()]
    parts = [plugins.part("judge", use) for use in uses]
    return dict(zip(_labels(uses), parts, strict=True))


def judge_names(named: Sequence[str]) -> list[str]:
    """The names that records and board have for judges, as the settings of a run tell these."""
    return _labels([judge_use(text) for text in named])


def _labels(uses: Sequence[PartUse]) -> list[str]:
    """A name for each judge: models of one name are told apart by the folders around them."""
    several = Counter(use.name for use in uses)
    is_long = [several[use.name] > 1 or MODEL in use.parameters for use in uses]
    labels = [_label(use) if long else use.name for use, long in zip(uses, is_long, strict=True)]
    alike = Counter(labels)
    labels = [_label(use, 2) if alike[label] > 1 else label for use, label in zip(uses, labels, strict=True)]
    found: dict[str, PartUse] = {}
    for use, label in zip(uses, labels, strict=True):
        if label in found:
            raise UsageError(f"--judge names {label} twice" + (ALIKE if use != found[label] else ""))
        found[label] = use
    return labels


def _label(use: PartUse, num_names: int = 1) -> str:
    """As given, but of a path only the last names: records are for publishing."""
    shown = {key: _published(value, num_names) for key, value in use.parameters.items()}
    return str(PartUse(name=use.name, parameters=shown))


def _published(value: object, num_names: int) -> str:
    name = str(value).rpartition("#")[2].removeprefix(PREFIX)
    names = [each for each in re.split(r"[/\\]", name) if each not in ("", ".", "..", "~")]
    return "/".join(names[-num_names:])


def grading(suite: PromptSuite | None, named: Sequence[str] | None, plugins: Plugins, *, chat: str | None) -> list[str]:
    """The evaluators that a suite brings where a judge is a language model, the first such judge's or that of the run.

    They ask it as the judge does: with each parameter given that they have too, but for words that are the judge's own.
    """
    asking = next((use for use in map(judge_use, named or ()) if _asks(use, plugins, chat=chat)), None)
    if suite is None or asking is None:
        return []
    return [str(_grader(name, asking, plugins)) for name in suite.graders]


def _asks(use: PartUse, plugins: Plugins, *, chat: str | None) -> bool:
    return MODEL in use.parameters or (chat is not None and plugins.part("judge", use).needs().chat)


def _grader(name: str, judge: PartUse, plugins: Plugins) -> PartUse:
    shared = set(fields_of(plugins.part_class("evaluator", name))) - {TEMPLATE}
    return PartUse(name=name, parameters={key: value for key, value in judge.parameters.items() if key in shared})
