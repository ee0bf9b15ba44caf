"""Deita: complexity times quality, rated by language models, and a filter of rows that are too alike."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.deita.scorer import Deita
from sftbench_plugins.deita.selector import ReprFilter


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """Both ratings and their product."""
    return [Deita]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """The filter."""
    return [ReprFilter]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The method of the paper."""
    return [
        Method(
            name="deita",
            summary="rated complexity times rated quality, without rows too like a better one",
            scorer=PartUse(name="deita"),
            selector=PartUse(name="repr-filter"),
            paper="What Makes Good Data for Alignment? (arXiv 2312.15685)",
            fidelity={"paper": "reconstruction", "official": "reconstruction"},
            deviations=(
                "the run's scoring model stands in for the authors' two scorers unless their folders are named",
                "templates are in our own words unless the folder of a scorer holds its own",
                "the filter looks at the run's embedder; the authors' default is the last token's state in a 7B model",
                "the filter alone is exact, batches included; equal scores keep the pool's order, there any",
                "a text that does not fit is cut or has no rating (paper) or is rated 3.0 and noted (official)",
            ),
        )
    ]
