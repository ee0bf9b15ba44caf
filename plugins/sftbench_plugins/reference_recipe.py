"""The warmed-up reference model that scorers, selectors and trainers of this package may share.

Equal recipes are trained once, so a method that scores with a reference and a trainer that distils from
it meet the same model when their `warmup_*` parameters agree. The defaults are here for that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sftbench import Needs, PartUse, Recipe, param

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


@dataclass(frozen=True, kw_only=True)
class Referenced:
    """The parameters of a part that compares with a reference, and what it needs for that."""

    reference: Literal["warmup", "scoring"] = param(
        "warmup", "the model to compare with: a warmed-up base, or the run's scoring model"
    )
    warmup_budget: str = param(WARMUP_BUDGET, "random rows that the reference is warmed up on, such as 1% or 200")
    warmup_epochs: float | None = param(WARMUP_EPOCHS, "passes over these rows; none: as the run trains")
    warmup_rank: int | None = param(WARMUP_RANK, "LoRA rank of the warm-up, 0 for all weights; none: as the run trains")
    warmup_learning_rate: float | None = param(
        WARMUP_LEARNING_RATE, "learning rate of the warm-up; none: as the run trains"
    )

    @property
    def reference_name(self) -> str:
        """How the desk calls it."""
        return "reference" if self.reference == "warmup" else "scoring"

    def needs_reference(self, *others: Literal["base"]) -> Needs:
        """The reference, and other models by name."""
        if self.reference == "scoring":
            return Needs(language_models=(*others, "scoring"))
        recipe = warmup_recipe(
            budget=self.warmup_budget,
            epochs=self.warmup_epochs,
            rank=self.warmup_rank,
            learning_rate=self.warmup_learning_rate,
        )
        return Needs(language_models=others, models={"reference": recipe})
