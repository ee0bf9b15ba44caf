"""Selectors that look at where rows lie in embedding space: k-center greedy and facility location."""

from __future__ import annotations

from sftbench import Method, PartUse, Selector, hookimpl
from sftbench_plugins.geometry.facility import FacilityLocation
from sftbench_plugins.geometry.kcenter import Kcenter


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """Two ways to cover a pool with few of its rows."""
    return [FacilityLocation, Kcenter]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Both as methods of their own; after a scorer's method they make its choice diverse."""
    return [
        Method(
            name="kcenter",
            summary="rows spread so that no instruction of the pool is far from a chosen one",
            selector=PartUse(name="kcenter"),
            paper="Sener and Savarese 2018 (arXiv 1708.00489); MoDS (arXiv 2311.15653)",
            fidelity={"official": "exact", "paper": "exact"},
            deviations=(
                "embeddings are the run's; MoDS takes the first state of bert-base-uncased, 96 tokens of instruction",
                "when distinct embeddings run out, equal rows fill up; the authors' code stops with an error",
                "rows with an empty instruction are left out",
            ),
        ),
        Method(
            name="facility-location",
            summary="rows such that every row of the pool has a chosen one like it",
            selector=PartUse(name="facility-location"),
            paper="Superfiltering (arXiv 2402.00530), its diversity variant",
            fidelity={"official": "rank-equal", "paper": "exact"},
            deviations=(
                "long rows: the mean of their pieces is embedded; the authors' code cuts at 512 tokens",
                "beyond 200,000 distinct rows only near neighbours count",
                "rows with an empty instruction or response are left out",
            ),
        ),
    ]
