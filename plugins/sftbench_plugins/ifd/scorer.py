"""The scorer `ifd`: instruction-following difficulty, as a ratio of perplexities or of mean losses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from sftbench import Desk, Needs, PassRequest, Pool, Scores, param
from sftbench_plugins.ifd.losses import RowLosses, over_same_tokens, perplexity, scores_of

_GIVEN, _ALONE = PassRequest(view="conditional"), PassRequest(view="response_only")


@dataclass(frozen=True, kw_only=True)
class Ifd:
    """How little a prompt helps a language model to predict the response.

    `super`: exp(mean nll(y | x)) / exp(mean nll(y)), arXiv 2402.00530. `cherry`: mean nll(y | x) / mean nll(y),
    arXiv 2308.12032. Near 1 the prompt hardly helps; above 1 it misleads.
    """

    name: ClassVar[str] = "ifd"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    variant: Literal["super", "cherry"] = param("super", "ratio of perplexities (super) or of mean losses (cherry)")
    mode: Literal["official", "paper"] = param("official", "'official' repeats the authors' texts and token counts")
    direction: Literal["high", "low", "middle"] = param(
        "high", "which scores are wanted: high, low or middle (nearest the median)"
    )
    cut: float | None = param(None, "rows whose ratio is not below this get no score (cherry: above this)")
    max_length: int | None = param(None, "tokens of prompt and response, official mode; default 1024, cherry 512")

    def __post_init__(self) -> None:
        if self.max_length is not None and (self.mode == "paper" or self.max_length < 2):
            raise ValueError("max_length must be at least 2, and goes with mode=official; paper uses the whole window")

    def needs(self) -> Needs:
        """Mode `paper` lives on passes that other methods share; `official` has texts of its own."""
        if self.mode == "paper":
            return Needs(passes=(_GIVEN, _ALONE))
        return Needs(language_models=("scoring",))

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """The ratio per row; columns `ifd` (before the cut), both perplexities and their token counts."""
        losses = self._losses(pool, desk)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self.variant == "super":
                ratio = perplexity(losses.conditional) / perplexity(losses.unconditional)
            else:
                ratio = losses.conditional / losses.unconditional
        dropped = {}
        if self.cut is not None:
            above = ratio >= self.cut if self.variant == "super" else ratio > self.cut
            dropped = {int(row): "above_cut" for row in np.flatnonzero(above) if int(row) not in losses.reasons}
        scores = scores_of(ratio, losses, direction=self.direction, dropped=dropped)
        return replace(scores, columns={"ifd": ratio, **scores.columns}, report={"num_above_cut": len(dropped)})

    def _losses(self, pool: Pool, desk: Desk) -> RowLosses:
        if self.mode == "paper":
            return over_same_tokens(desk.passed(_GIVEN), desk.passed(_ALONE))
        from sftbench_plugins.ifd.official import CHERRY, SUPER, measure

        procedure = SUPER if self.variant == "super" else CHERRY
        if self.max_length is not None:
            procedure = replace(procedure, max_length=self.max_length)
        with desk.progress(len(pool), "row") as progress:
            return measure(pool, desk.language_model("scoring", dtype="float32"), procedure, progress)
