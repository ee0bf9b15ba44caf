"""The warmed-up reference model that scorers, selectors and trainers of this package may share.

Equal recipes are trained once, so a method that scores with a reference and a trainer that distils from
it meet the same model when their `warmup_*` parameters agree. The defaults are here for that reason.
"""

from __future__ import annotations

from sftbench import PartUse, Recipe

WARMUP_BUDGET = "10%"
WARMUP_EPOCHS: float | None = None
WARMUP_RANK: int | None = None
WARMUP_LEARNING_RATE: float | None = None
"""None is as the run trains: a reference that is trained otherwise would measure the recipe, not the rows."""


def warmup_recipe(*, budget: str, epochs: float | None, rank: int | None, learning_rate: float | None) -> Recipe:
    """The base model after plain fine-tuning on a random slice of the pool.

    `budget` as on the command line (`10%`, `200`); `rank` 0 trains all parameters, above 0 a LoRA of
    that rank. What is None is as the run's trainer has it.
    """
    parameters = {"epochs": epochs, "rank": rank, "learning_rate": learning_rate}
    # Rows of its own draw: those of `random` would make the reference the very model that methods are measured by.
    selector = PartUse(name="random", parameters={"purpose": "warm-up"})
    return Recipe(selector=selector, budget=budget, trainer=PartUse(name="sft", parameters=parameters))
