"""The parameters that all generators share: how many rows, how they are mixed with real ones, and which are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sftbench import Recipe, param
from sftbench_plugins.reference_recipe import (
    WARMUP_BUDGET,
    WARMUP_EPOCHS,
    WARMUP_LEARNING_RATE,
    WARMUP_RANK,
    warmup_recipe,
)

TOPIC_GRID = (1, 5, 20, 50, 100, 300, 1000)
"""Number of topics (or personas) at the levels D0 to D6, from the least diverse to the most."""
REPLACED_GRID = (0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.0)
"""Share of a set that is replaced by paraphrases of each other at the levels D0 to D6."""

POSITIVE = ("min_response_words", "attempts_per_row", "max_new_tokens", "max_prompt_characters")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many rows a generator gives, and which."""

    num_rows: int | None = param(None, "rows of the pool that is made; none: as many as the pool has")
    generated_share: float = param(1.0, "share of these rows that is generated; the others are real rows of the pool")
    mixing: Literal["replace", "additive"] = param(
        "replace", "replace: real rows give way, the sum is num_rows; additive: generated rows come on top of num_real"
    )
    num_real: int | None = param(None, "real rows with mixing=additive; none: all of the pool")
    closeness: Literal["off", "calibrated"] | float = param(
        "off",
        "smallest cosine to a real row that a generated one must have; calibrated: the 5th percentile of what real "
        "rows have to their nearest neighbours",
    )
    closeness_of: Literal["nearest", "nearest-5"] = param(
        "nearest", "cosine to the nearest real row, or the mean of the five nearest"
    )
    cap: float | None = param(None, "a row with a cosine above this to one kept before is rejected; none: no such rule")
    min_response_words: int = param(1, "a shorter response is rejected as too_short")
    attempts_per_row: int = param(3, "at most so many attempts for each row wanted; then the pool is short")
    turns: Literal["last", "skip"] = param(
        "last", "rows of several turns: the last question with what went before, or no parents"
    )
    max_new_tokens: int = param(512, "longest text that a model writes at a time; one that is cut off is not kept")
    max_prompt_characters: int = param(
        16_000, "a longer prompt loses examples first, then the end of its context, which is noted"
    )
    licence: str = param("not stated", "licence of what the language model writes, for the lineage of every row")

    name: ClassVar[str]
    version: ClassVar[str]

    def __post_init__(self) -> None:
        if not 0 <= self.generated_share <= (1 if self.mixing == "replace" else float("inf")):
            raise ValueError(f"generated_share={self.generated_share}: expected a share from 0 to 1")
        if self.num_real is not None and self.mixing != "additive":
            raise ValueError("num_real goes with mixing=additive; with replace, num_rows and generated_share say it")
        for name, least in {"num_rows": 1, "num_real": 0, **dict.fromkeys(POSITIVE, 1)}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}={value}: expected at least {least}")
        for name in ("closeness", "cap"):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not -1 <= value <= 1:
                raise ValueError(f"{name}={value}: a cosine lies between -1 and 1")

    @property
    def compares(self) -> bool:
        """Whether embeddings are needed to keep or reject a row."""
        return self.closeness != "off" or self.cap is not None


def at_level(level: int, grid: tuple[float, ...]) -> float:
    """What a level from D0 to D6 means. Raises `ValueError` for another level."""
    if not 0 <= level < len(grid):
        raise ValueError(f"level={level}: expected 0 (least varied) to {len(grid) - 1} (most)")
    return grid[level]


@dataclass(frozen=True, kw_only=True)
class LocalSettings(Settings):
    """Also which model of the run stands in where the user names no language model."""

    stand_in: Literal["base", "scoring"] = param(
        "base",
        "without --chat: the base model writes and, warmed up on a random slice of the pool, answers; or the run's "
        "scoring model does both, which is right for an instruction-tuned one",
    )
    stand_in_top_p: float = param(
        0.9, "share of the likeliest words that a model of the run draws instructions from; 1 draws from all"
    )
    warmup_budget: str = param(WARMUP_BUDGET, "slice of the pool that the answering base is warmed up on")
    warmup_epochs: float | None = param(WARMUP_EPOCHS, "epochs of the warm-up; none: as the run trains")
    warmup_rank: int | None = param(WARMUP_RANK, "LoRA rank of the warm-up, 0 for all weights; none: as the run trains")
    warmup_learning_rate: float | None = param(
        WARMUP_LEARNING_RATE, "learning rate of the warm-up; none: as the run trains"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.stand_in_top_p <= 1:
            raise ValueError(f"stand_in_top_p={self.stand_in_top_p}: expected above 0 and at most 1")

    def recipe(self) -> Recipe:
        """The warm-up of the model that answers."""
        return warmup_recipe(
            budget=self.warmup_budget,
            epochs=self.warmup_epochs,
            rank=self.warmup_rank,
            learning_rate=self.warmup_learning_rate,
        )
