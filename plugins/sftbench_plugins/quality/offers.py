"""Quality with cover: CaR (top rows and one of each cluster) and MoDS (spread seeds and what they leave unlearnt)."""

from __future__ import annotations

from collections.abc import Mapping

from sftbench import Json, Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.quality.car import Car
from sftbench_plugins.quality.mods import Mods
from sftbench_plugins.quality.scorer import Quality

_STAND_IN = "without quality_model=FOLDER rows are ranked by perplexity in its stead"
_CAR: Mapping[str, Json] = {"form": "labelled", "turns": "all", "overlong": "truncate"}
_MODS: Mapping[str, Json] = {"form": "pair", "turns": "first", "above": 0.0}


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    return [Quality]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    return [Car, Mods]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Both rank by the scorer `quality`, each as its authors show rows to their model."""
    return [
        Method(
            name="car",
            summary="the best rows by a quality model, and the best row of every cluster of embeddings",
            scorer=PartUse(name="quality", parameters=_CAR),
            selector=PartUse(name="car"),
            paper="Clustering and Ranking (arXiv 2402.18191)",
            fidelity={"official": "rank-equal", "paper": "reconstruction"},
            deviations=(
                _STAND_IN,
                "embeddings are the run's, of the row's text without labels; the authors' encoder is not named",
                "n1 is what the budget leaves beside the representatives; n1=1000 is the authors' number",
                "rows are clustered in pool order; the authors' scripts cluster a file that is sorted by score",
            ),
        ),
        Method(
            name="mods",
            summary="good rows spread by k-center, then rows that the model tuned on those answers badly",
            scorer=PartUse(name="quality", parameters=_MODS),
            selector=PartUse(name="mods", parameters=_MODS),
            paper="MoDS (arXiv 2311.15653)",
            fidelity={"paper": "reconstruction"},
            deviations=(
                _STAND_IN,
                "without a quality model answers are judged by their likeness to the row's own response",
                "answers are greedy and of at most 256 tokens; the authors search with 4 beams for up to 1,024",
                "seeds are 2% of the pool; rows answered well fill what is left of the budget, worst answers first",
            ),
        ),
    ]
