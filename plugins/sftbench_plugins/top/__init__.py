"""Selector `top`: the rows with the highest scores."""

from __future__ import annotations

from sftbench import Selector, hookimpl
from sftbench_plugins.top.selector import Top


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """The plain ranking."""
    return [Top]
