"""The parameters by which rows get a quality: the scorer's, and of every part that must ask again."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Literal

from sftbench import Json, param

STAND_IN = "perplexity"


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """Which model gives a number, what it reads of a row, and which numbers are too low."""

    quality_model: str = param(
        STAND_IN,
        "folder or hub name of a sequence-classification model (reward or quality), or perplexity, the stand-in",
    )
    form: Literal["pair", "labelled"] = param(
        "pair",
        "what it reads: question and answer, or one text with Instruction:, Input: and Response: before its parts",
    )
    turns: Literal["first", "last", "all"] = param("all", "exchanges of a conversation that it reads")
    overlong: Literal["refuse", "truncate"] = param("refuse", "texts beyond what it reads: no score, or cut")
    label: int | None = param(None, "output that counts, of a model with several; none: the last")
    above: float | None = param(None, "rows with this much or less get no score; none: all get theirs")

    def __post_init__(self) -> None:
        if not self.quality_model.strip():
            raise ValueError(f"quality_model is a folder, a hub name or {STAND_IN}, not nothing")
        if self.above is not None and not math.isfinite(self.above):
            raise ValueError(f"above is a number, not {self.above}")

    @property
    def has_model(self) -> bool:
        """Whether a model is named, so that nothing stands in for it."""
        return self.quality_model != STAND_IN

    def told(self) -> dict[str, Json]:
        """These parameters alone, of a part that has more."""
        values = asdict(self)
        return {each.name: values[each.name] for each in fields(QualitySettings)}
