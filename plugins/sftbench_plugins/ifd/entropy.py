"""The scorer `entropy`: cross-entropy of a response, or the entropy of what the model expects in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Needs, PassRequest, Pool, Scores, param
from sftbench_plugins.ifd.losses import RowLosses, own_tokens, read_pass, scores_of

_PASSES = {
    "ce_response": PassRequest(view="conditional"),
    "pred_entropy": PassRequest(view="conditional", statistic="entropy"),
}


@dataclass(frozen=True, kw_only=True)
class Entropy:
    """What tables call "Entropy", in nats per token of the last response, averaged.

    `ce_response`: cross-entropy, -log p(y_t | x, y_<t), which is the logarithm of the perplexity.
    `pred_entropy`: entropy of p(. | x, y_<t), whatever stands there. `ce_unshifted`: what the published code of
    arXiv 2410.09335 computes, -log p(y_t | x, y_<=t): how surely the model would say the same token again.
    """

    name: ClassVar[str] = "entropy"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    variant: Literal["ce_response", "pred_entropy", "ce_unshifted"] = param(
        "ce_response", "cross-entropy of the response, entropy of the prediction, or what the published code computes"
    )
    direction: Literal["high", "low", "middle"] = param(
        "high", "which values are wanted: high, low or middle (nearest the median)"
    )
    max_length: int | None = param(None, "tokens of prompt and response, ce_unshifted only; default 4096")

    def __post_init__(self) -> None:
        if self.max_length is not None and (self.variant != "ce_unshifted" or self.max_length < 2):
            raise ValueError(
                "max_length is at least 2, and goes with variant=ce_unshifted; others use the whole window"
            )

    @property
    def mode(self) -> str:
        """Official is the published code, mistakes included."""
        return "official" if self.variant == "ce_unshifted" else "paper"

    def needs(self) -> Needs:
        """Passes that other methods share; `ce_unshifted` has texts and targets of its own."""
        if self.variant == "ce_unshifted":
            return Needs(language_models=("scoring",))
        return Needs(passes=(_PASSES[self.variant],))

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """The value per row; columns by the name of the variant, and `num_tokens`."""
        reasons, notes, values = self._values(pool, desk)
        means, counts = own_tokens(values)
        for row in np.flatnonzero(counts == 0):
            reasons.setdefault(int(row), "too_few_tokens")
        losses = replace(RowLosses.empty(len(pool)), reasons=reasons, notes=notes)
        scores = scores_of(means, losses, direction=self.direction)
        return replace(scores, columns={self.variant: means, "num_tokens": counts})

    def _values(self, pool: Pool, desk: Desk) -> tuple[dict[int, str], dict[int, str], list[npt.NDArray[np.float32]]]:
        if self.variant != "ce_unshifted":
            return read_pass(desk.passed(_PASSES[self.variant]))
        from sftbench_plugins.ifd.unshifted import measure

        with desk.progress(len(pool), "row") as progress:
            model = desk.language_model("scoring", dtype="float32")
            return measure(pool, model, max_length=self.max_length or 4096, progress=progress)
