"""Controls: what every method must beat, and what the board is read against."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.controls.longest import Longest
from sftbench_plugins.controls.matched import MatchedRandom
from sftbench_plugins.controls.plain import Everything, Random


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """Response length."""
    return [Longest]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """Chance, everything, and chance matched to another selection."""
    return [Everything, MatchedRandom, Random]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The rows that stand in every board."""
    everything, chance = PartUse(name="all"), PartUse(name="random")
    return [
        Method(
            name="base",
            summary="the base model, untrained",
            selector=everything,
            control=True,
            trains=False,
            ignores_budget=True,
        ),
        Method(
            name="full",
            summary="the whole pool, whatever the budget",
            selector=everything,
            control=True,
            ignores_budget=True,
        ),
        Method(name="random", summary="rows drawn by chance", selector=chance, control=True),
        Method(
            name="longest",
            summary="the rows with the longest responses",
            scorer=PartUse(name="longest"),
            selector=PartUse(name="top"),
            paper="arXiv 2402.04833",
            fidelity={"paper": "reconstruction", "official": "reconstruction"},
            deviations=("the authors released the rows they chose and no script; ties go to the earlier row",),
            control=True,
        ),
        _matched("lengths", "random rows with the response lengths of another selection"),
        _matched("tokens", "random rows with as many trained response tokens as another selection"),
        _matched("compute", "random rows with as much of the compute of another method as the pool allows"),
    ]


def _matched(match: str, summary: str) -> Method:
    use = PartUse(name="matched-random", parameters={"match": match})
    ignores = match != "lengths"
    return Method(
        name=f"random-{match}",
        summary=summary,
        selector=use,
        control=True,
        matched_to_each=True,
        ignores_budget=ignores,
    )
