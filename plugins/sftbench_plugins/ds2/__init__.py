"""DS2: ratings by a language model, corrected by how ratings of like rows err, and rare rows first within a class."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.ds2.scorer import Ds2
from sftbench_plugins.ds2.selector import ClassThenTail


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """Curated ratings and the long tail."""
    return [Ds2]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """Class by class."""
    return [ClassThenTail]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The method of the paper."""
    return [
        Method(
            name="ds2",
            summary="model ratings, corrected by an estimate of how they err; rare rows first where a class is cut",
            scorer=PartUse(name="ds2"),
            selector=PartUse(name="ds2"),
            paper="Improving Data Efficiency via Curating LLM-Driven Rating Systems (arXiv 2410.10877)",
            fidelity={"paper": "reconstruction", "official": "rank-equal"},
            deviations=(
                "without --chat ratings are sixths of the pool by perplexity, a stand-in",
                "the rating prompt is in our own words; embeddings are the run's, not those of bge-large",
                "distances are float32; the authors' are half precision on a GPU",
                "mode=official is seeded; the authors' estimate of errors is not",
                "mode=paper puts every row in once, keeps the best fit, and leaves unreadable ratings out",
            ),
        )
    ]
