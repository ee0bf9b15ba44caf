"""ZIP: the rows that compress worst together, found with zlib alone."""

from __future__ import annotations

from sftbench import Method, PartUse, Selector, hookimpl
from sftbench_plugins.compression.selector import Zip


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """Greedy choice by compression ratio."""
    return [Zip]


@hookimpl
def sftbench_methods() -> list[Method]:
    """ZIP as a method: no model, no score."""
    return [
        Method(
            name="zip",
            summary="rows that repeat each other least: what zlib compresses worst together",
            selector=PartUse(name="zip"),
            paper='ZIP, "Entropy Law" (arXiv 2407.06645)',
            fidelity={"official": "exact", "paper": "reconstruction"},
            deviations=(
                "mode=paper compresses the texts of the turns; the authors' code also ids, keys and quotes",
                "mode=paper gives rows rejected in a round another chance; the authors' code never looks at them again",
                "mode=paper leaves out rows without prompt or response and texts under min_bytes",
                "mode=official stops with an error where the authors' code would take a row twice",
                "the budget is exact: what the authors' code takes beyond it is cut off the end",
            ),
        )
    ]
