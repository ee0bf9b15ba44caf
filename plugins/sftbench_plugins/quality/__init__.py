"""Quality with cover: CaR (top rows and one of each cluster) and MoDS (spread seeds and what they leave unlearnt)."""

from __future__ import annotations

from collections.abc import Mapping

from sftbench import Json, Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.quality.car import Car
from sftbench_plugins.quality.mods import Mods
from sftbench_plugins.quality.scorer import Quality

_CAR: Mapping[str, Json] = {"form": "labelled", "turns": "all", "overlong": "truncate"}
_MODS: Mapping[str, Json] = {"form": "pair", "turns": "first", "overlong": "refuse", "above": 0.0}


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """The number that both methods rank by."""
    return [Quality]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """What each makes of it."""
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
            fidelity={"official": "exact", "paper": "reconstruction"},
            deviations=(
                "without quality_model=FOLDER perplexity under the scoring model stands in for quality",
                "the authors' model is a COMET checkpoint, which is not read; a classification model is",
                "the run's encoder embeds rows; the authors do not name theirs; mode=paper embeds them without labels",
                "n1 is what the budget leaves beside the representatives; n1=1000 is the authors' number",
                "mode=paper clusters rows as they stand in the pool; the authors' code as they are ranked",
            ),
        ),
        Method(
            name="mods",
            summary="good rows spread by k-center, then rows that the model tuned on those answers badly",
            scorer=PartUse(name="quality", parameters=_MODS),
            selector=PartUse(name="mods", parameters=_MODS),
            paper="MoDS (arXiv 2311.15653)",
            fidelity={"official": "reconstruction", "paper": "reconstruction"},
            deviations=(
                "without quality_model=FOLDER perplexity under the scoring model stands in for quality, above the mean",
                "without it answers are judged by their likeness to the row's own response, below the mean",
                "the run's encoder embeds instruction and input; the authors' is bert-base-uncased, without the input",
                "answers are greedy and of at most 256 tokens; the authors search with 4 beams for up to 1,024",
                "seeds are 5% of the pool, and are not answered: those of them answered badly stand twice there",
                "rows answered well fill what is left of the budget, worst answers first; fill=false leaves them out",
                "the base model is tuned on the seeds as the run trains; warmup_epochs=3 is the authors' number",
            ),
        ),
    ]
