"""The warmed-up reference model that scorers, selectors and trainers of this package may share.

Equal recipes are trained once, so a method that scores with a reference and a trainer that distils from
it meet the same model when their `warmup_*` parameters agree. The defaults are here for that reason.
"""

from __future__ import annotations

from sftbench import PartUse, Recipe

WARMUP_BUDGET = "10%"
WARMUP_EPOCHS = 1.0
WARMUP_RANK = 64
WARMUP_LEARNING_RATE: float | None = None


def warmup_recipe(*, budget: str, epochs: float, rank: int, learning_rate: float | None) -> Recipe:
    """The base model after plain fine-tuning on a random slice of the pool.

    `budget` as on the command line (`10%`, `200`); `rank` 0 trains all parameters, above 0 a LoRA of
    that rank; `learning_rate` None leaves it to the trainer.
    """
    parameters = {"epochs": float(epochs), "rank": int(rank), "learning_rate": learning_rate}
    return Recipe(selector=PartUse(name="random"), budget=budget, trainer=PartUse(name="sft", parameters=parameters))
