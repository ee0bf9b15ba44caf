"""InsTag: queries with many intentions first, as long as they bring new ones."""

from __future__ import annotations

from sftbench import Method, PartUse, Selector, hookimpl
from sftbench_plugins.instag.selector import Instag

_PAPER = "#InsTag (arXiv 2308.07074)"
_TAGGER = "the tagger is the model named by --chat, or key phrases of the pool; the authors' is a 7B model of their own"


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    return [Instag]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The method of the paper, and what most comparisons call by its name."""
    return [
        Method(
            name="instag",
            summary="rows with most tags first, as long as they bring tags that are not there yet",
            scorer=PartUse(name="tags", parameters={"component": "instruction"}),
            selector=PartUse(name="instag"),
            paper=_PAPER,
            fidelity={"paper": "reconstruction"},
            deviations=(
                _TAGGER,
                "frequency thresholds are scaled with the pool; tags are merged by MiniLM and not PhraseBERT",
                "of the association rules those with one tag on either side are used",
                "rows that leave nothing to train on are not chosen",
            ),
        ),
        Method(
            name="instag_count",
            summary="rows with most tags, as the tagger gave them: no normalisation, no diversity",
            scorer=PartUse(name="tags", parameters={"component": "instruction"}),
            selector=PartUse(name="top"),
            paper=_PAPER,
            fidelity={"*": "exact"},
            deviations=(_TAGGER, "exact given the same tags: equal counts keep the order of the pool"),
        ),
    ]
