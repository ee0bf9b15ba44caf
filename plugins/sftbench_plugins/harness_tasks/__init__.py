"""Benchmarks through EleutherAI's lm-evaluation-harness: any of its tasks, and the sets of two papers."""

from __future__ import annotations

from sftbench import Evaluator, hookimpl
from sftbench_plugins.harness_tasks.evaluators import LmEval, TokenTunePaper, TshirtPaper


@hookimpl
def sftbench_evaluators() -> list[type[Evaluator]]:
    """Any tasks, and the papers' sets."""
    return [LmEval, TokenTunePaper, TshirtPaper]
