"""Suites of prompts that models answer and judges compare: AlpacaEval, Arena-Hard, MT-Bench, Vicuna."""

from __future__ import annotations

from sftbench import PromptSuite, hookimpl
from sftbench_plugins.prompt_suites.suites import SUITES


@hookimpl
def sftbench_suites() -> list[PromptSuite]:
    """The prompts of published benchmarks; the files lie with the user or on the hub."""
    return list(SUITES)
