"""Training sets of a chosen diversity: the micro level (token types) of the macro / meso / micro series."""

from __future__ import annotations

from sftbench import Method, PartUse, Selector, hookimpl
from sftbench_plugins.m2m.micro import Micro

_DEVIATIONS = (
    "no code and no appendices are public: pruning key, levels, fill and tie-breaks are our reading",
    "a level is reached by cutting the pool; which level is trained is a parameter (default: the most diverse)",
    "pruning goes in batches of 1/256 of the rows left instead of one row at a time",
    "below 11,700 rows the band is calibrated to 20 types per row instead of scaled",
)


def _method(component: str, summary: str) -> Method:
    return Method(
        name=f"micro-{component}",
        summary=summary,
        selector=PartUse(name="micro", parameters={"component": component}),
        paper="arXiv 2505.24768",
        fidelity={"paper": "reconstruction"},
        deviations=_DEVIATIONS,
    )


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    return [Micro]


@hookimpl
def sftbench_methods() -> list[Method]:
    return [
        _method("response", "rows whose responses hold as many mid-frequency token types as the level asks for"),
        _method("instruction", "rows whose instructions hold as many mid-frequency token types as the level asks for"),
    ]
