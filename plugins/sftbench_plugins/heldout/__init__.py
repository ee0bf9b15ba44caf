"""Evaluators on held-out rows: negative log-likelihood and exact match."""

from __future__ import annotations

from sftbench import Evaluator, hookimpl
from sftbench_plugins.heldout.evaluators import ExactMatch, HeldOutNll


@hookimpl
def sftbench_evaluators() -> list[type[Evaluator]]:
    """Likelihood of the reference, and right answers."""
    return [ExactMatch, HeldOutNll]
