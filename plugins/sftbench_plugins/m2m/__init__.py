"""Training sets of a chosen diversity: the macro (topics), meso (tags) and micro (token types) series."""

from __future__ import annotations

from typing import Literal

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.m2m.macro import Macro
from sftbench_plugins.m2m.meso import Meso
from sftbench_plugins.m2m.micro import Micro
from sftbench_plugins.m2m.topics import Topics

_DEVIATIONS = (
    "no code and no appendices are public: pruning key, levels, fill and tie-breaks are our reading",
    "a level is reached by cutting the pool; which level is trained is a parameter (default: the most diverse)",
)
_PRUNING = "pruning goes in batches of 1/256 of the rows left instead of one row at a time"
_MORE = {
    "macro": (
        "UMAP and HDBSCAN as BERTopic has them, since the paper gives no values; outliers go to the nearest topic",
    ),
    "meso": (_PRUNING, "tags come from the model named by --chat, or from key phrases of the pool"),
    "micro": (_PRUNING, "below 11,700 rows the band is calibrated to 20 types per row instead of scaled"),
}
_TYPES = {"macro": "topics", "meso": "tags", "micro": "mid-frequency token types"}
_SCORERS = {"macro": "topics", "meso": "tags"}


def _method(level: Literal["macro", "meso", "micro"], component: str) -> Method:
    """Where types are found by a scorer, it is the scorer that is told which side of the rows counts."""
    side = {"component": component}
    return Method(
        name=f"{level}-{component}",
        summary=f"rows whose {component}s hold as many {_TYPES[level]} as the level asks for",
        scorer=PartUse(name=_SCORERS[level], parameters=side) if level in _SCORERS else None,
        selector=PartUse(name=level, parameters={} if level in _SCORERS else side),
        paper="arXiv 2505.24768",
        fidelity={"paper": "reconstruction"},
        deviations=(*_DEVIATIONS, *_MORE[level]),
    )


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """Topics; tags come from a plugin of their own."""
    return [Topics]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    return [Macro, Meso, Micro]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Three levels on either side of the rows."""
    return [_method(level, side) for level in ("macro", "meso", "micro") for side in ("instruction", "response")]
