"""An evaluator whose metric is no mean of items: the perplexity of all held-out responses together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import Evaluation, Evaluator, Needs, Nll, Passage, hookimpl, param


@dataclass(frozen=True, kw_only=True)
class ToyPerplexity:
    """One number for a model, of which it may leave untold whether more is better."""

    name: ClassVar[str] = "toy-perplexity"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = False

    untold: bool = param(False, "does not say what is better")

    def needs(self) -> Needs:
        return Needs()

    def evaluate(self, heldout, responses, desk):
        model = desk.language_model("trained")
        encoded = desk.training_encoding(heldout, max_length=model.max_length)
        losses = model.run((Passage.conditional(each) for each in encoded), statistics=[Nll()])
        every = np.concatenate([item["nll"] for item in losses])
        return Evaluation(
            ids=(),
            items={},
            numbers={"perplexity": float(np.exp(every[np.isfinite(every)].mean()))},
            bigger_is_better={} if self.untold else {"perplexity": False},
        )


@hookimpl
def sftbench_evaluators() -> list[type[Evaluator]]:
    return [ToyPerplexity]
