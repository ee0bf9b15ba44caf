"""One evaluation from start to end: the tasks are built, the model is asked, the outcomes are told."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import lm_eval.utils
from lm_eval.evaluator import evaluate as evaluate_tasks

from sftbench import Desk, Evaluation, Json, UsageError
from sftbench_plugins.harness_tasks import building
from sftbench_plugins.harness_tasks.asking import Asked, Samples
from sftbench_plugins.harness_tasks.code_tasks import CodeTask
from sftbench_plugins.harness_tasks.model import HarnessModel
from sftbench_plugins.harness_tasks.outcomes import evaluation_of

NOT_ALLOWED = "it runs code that the model wrote, which needs --allow-code-execution"


@dataclass(frozen=True, kw_only=True)
class Work:
    """Which tasks, and how: `runs_code` allows code that the model wrote, `templated` puts templates round prompts."""

    asked: tuple[Asked, ...]
    samples: Samples
    limit: int | None
    runs_code: bool
    templated: bool


def evaluate(work: Work, desk: Desk) -> Evaluation:
    """Every task that there is data for, with the model loaded once for all of them.

    Raises `UsageError` where nothing is left to run.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    files = desk.files()
    refused = {each.name: NOT_ALLOWED for each in work.asked if each.runs_code and not work.runs_code}
    asked = [each for each in work.asked if each.name not in refused]
    code = CodeTask(samples=work.samples, scratch=desk.scratch)
    built = building.of_files(asked, files, code.tasks) if files else building.of_hub(asked, code.tasks)
    left_out = {**refused, **built.left_out}
    for name, reason in left_out.items():
        desk.log(f"{name} is left out: {reason}")
    if not built.tasks:
        raise UsageError(f"none of the tasks can be run: {'; '.join(f'{k}: {v}' for k, v in left_out.items())}")
    results, remarks = _asked_model(work, desk, built)
    report: dict[str, Json] = {
        "harness": f"lm_eval {importlib.metadata.version('lm_eval')}",
        "num_tasks_run": len(built.members),
        "num_tasks_left_out": len(left_out),
        "left_out": dict(left_out),
        "data": "files" if files else "hub",
        "num_fewshot": {name: results["n-shot"].get(name) for name in sorted(built.tasks)},
        "versions": {name: str(results["versions"].get(name)) for name in sorted(built.tasks)},
        "remarks": [*built.remarks, *remarks, *code.remarks()],
    }
    return evaluation_of(results, work.asked, built.members, report)


def _asked_model(work: Work, desk: Desk, built: building.Built) -> tuple[Mapping[str, Any], list[str]]:
    model = HarnessModel(desk.language_model("trained"), progress=desk.progress)
    with _templates_read_once():
        results = evaluate_tasks(
            lm=model,
            task_dict={"tasks": built.tasks, "groups": built.groups},
            limit=work.limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=work.templated,
            fewshot_as_multiturn=work.templated,
        )
    return results, [f"{what}: {count}" for what, count in sorted(model.remarks.items()) if count]


@contextmanager
def _templates_read_once() -> Iterator[None]:
    """The harness reads each prompt template anew for every item, which takes as long as a small model does."""
    environment = lm_eval.utils.env
    environment.from_string = lru_cache(maxsize=4096)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string
