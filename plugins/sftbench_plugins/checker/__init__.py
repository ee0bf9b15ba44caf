"""Judge `checker`: right answers decide, without a language model."""

from __future__ import annotations

from sftbench import Judge, hookimpl
from sftbench_plugins.checker.judge import Checker


@hookimpl
def sftbench_judges() -> list[type[Judge]]:
    """The judge that needs no model."""
    return [Checker]
