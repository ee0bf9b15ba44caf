"""How well a model predicts held-out responses, and how often its greedy answer is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Evaluation, Needs, Pool, Responses, UsageError
from sftbench_plugins.answers import accepted_answers, is_correct


@dataclass(frozen=True, kw_only=True)
class HeldOutNll:
    """Mean negative log-likelihood of the reference response, in nats per response token, given the prompt.

    The end-of-turn token counts as a response token, as in training. An item without response tokens is NaN;
    `remarks` in the report counts those and the ones that were truncated.
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
        remarks: Counter[str] = Counter()

        def passages() -> Iterator[Passage]:
            for encoded in desk.training_encoding(heldout, max_length=model.max_length):
                if encoded.reason or encoded.kept_share < 1:
                    remarks[encoded.reason or "response_truncated"] += 1
                yield Passage.conditional(encoded)

        losses = (item["nll"] for item in model.run(passages(), statistics=[Nll()]))
        values = np.fromiter(map(_mean, losses), dtype=np.float64, count=len(heldout))
        return Evaluation(
            ids=tuple(heldout.ids),
            items={"nll": values},
            bigger_is_better={"nll": False},
            report={"remarks": dict(remarks)},
        )


def _mean(losses: npt.NDArray[np.float32]) -> float:
    """Over the tokens that have a context; NaN where there is none, or where a loss is infinite."""
    scored = losses[~np.isnan(losses)].astype(np.float64)
    return float(scored.mean()) if len(scored) and np.isfinite(scored).all() else float("nan")


@dataclass(frozen=True, kw_only=True)
class ExactMatch:
    """Whether the greedy answer is right: 1 or 0 per item.

    Right is any of the row's `answers`, or its reference response where it has none; case, blanks and final
    punctuation do not matter, and an answer that ends in "answer is X" is X. An item without either is NaN.
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
        text_of = dict(zip(responses.ids, responses.texts, strict=True))
        accepted = ((row.id, accepted_answers(row)) for row in heldout)
        right = [float(is_correct(text_of[at], answers)) if answers else float("nan") for at, answers in accepted]
        items = {"exact-match": np.array(right, dtype=np.float64)}
        return Evaluation(ids=tuple(heldout.ids), items=items, bigger_is_better={"exact-match": True})
