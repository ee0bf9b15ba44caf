"""Judges that are language models, grades by one, and a judge that compares with reference answers by embedding."""

from __future__ import annotations

from sftbench import Evaluator, Judge, hookimpl
from sftbench_plugins.judges.grade import Grade
from sftbench_plugins.judges.pairwise import Pairwise
from sftbench_plugins.judges.reference import Reference


@hookimpl
def sftbench_judges() -> list[type[Judge]]:
    """Two answers side by side, and closeness to the reference."""
    return [Pairwise, Reference]


@hookimpl
def sftbench_evaluators() -> list[type[Evaluator]]:
    """One answer at a time, from 1 to 10."""
    return [Grade]
