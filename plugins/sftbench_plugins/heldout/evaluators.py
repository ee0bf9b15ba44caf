"""How well a model predicts held-out responses, and how often its greedy answer is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import Desk, Evaluation, Needs, Pool, Responses, UsageError
from sftbench_plugins.answers import accepted_answers, is_correct


@dataclass(frozen=True, kw_only=True)
class HeldOutNll:
    """Mean negative log-likelihood of the reference response, in nats per response token, given the prompt.

    The end-of-turn token counts as a response token, as in training. An item without response tokens is NaN.
    """

    name: ClassVar[str] = "nll"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = False

    def needs(self) -> Needs:
        return Needs()

    def evaluate(self, heldout: Pool, responses: Responses | None, desk: Desk) -> Evaluation:
        from sftbench import Nll, Passage

        model = desk.language_model("trained")
        passages = (Passage.conditional(each) for each in desk.training_encoding(heldout, max_length=model.max_length))
        values = np.full(len(heldout), np.nan)
        for at, statistics in enumerate(model.run(passages, statistics=[Nll()])):
            losses = statistics["nll"].astype(np.float64)
            finite = losses[np.isfinite(losses)]
            values[at] = finite.mean() if len(finite) == np.count_nonzero(~np.isnan(losses)) > 0 else np.nan
        return Evaluation(ids=tuple(heldout.ids), items={"nll": values}, bigger_is_better={"nll": False})


@dataclass(frozen=True, kw_only=True)
class ExactMatch:
    """Whether the greedy answer is right: 1 or 0 per item.

    Right is any of the row's `answers`, or its reference response where it has none; case, blanks and final
    punctuation do not matter, and an answer that ends in "answer is X" is X.
    """

    name: ClassVar[str] = "exact-match"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = True

    def needs(self) -> Needs:
        return Needs()

    def evaluate(self, heldout: Pool, responses: Responses | None, desk: Desk) -> Evaluation:
        if responses is None:
            raise UsageError("evaluator 'exact-match' needs the model's responses")
        right = [
            float(is_correct(text, accepted_answers(row))) for row, text in zip(heldout, responses.texts, strict=True)
        ]
        items = {"exact-match": np.array(right, dtype=np.float64)}
        return Evaluation(ids=responses.ids, items=items, bigger_is_better={"exact-match": True})
