"""The scorer `ppl`: perplexity of a response, with or without its prompt, or of the whole row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Needs, PassRequest, Pool, Row, Scores, param
from sftbench_plugins.ifd.losses import RowLosses, own_tokens, perplexity, read_pass, scores_of

_PASSES = {"conditional": PassRequest(view="conditional"), "unconditional": PassRequest(view="response_only")}


@dataclass(frozen=True, kw_only=True)
class Ppl:
    """exp of the mean negative log-likelihood of the tokens that are scored.

    `whole` scores every token of instruction, input and response joined by newlines, as ODA-DataScorer does.
    """

    name: ClassVar[str] = "ppl"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    variant: Literal["conditional", "unconditional", "whole"] = param(
        "conditional", "the response given its prompt, the response alone, or all tokens of the row"
    )
    direction: Literal["high", "low", "middle"] = param(
        "high", "which perplexities are wanted: high, low or middle (nearest the median)"
    )

    def needs(self) -> Needs:
        if self.variant == "whole":
            return Needs(language_models=("scoring",))
        return Needs(passes=(_PASSES[self.variant],))

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """The perplexity per row; columns `ppl_<variant>` and `num_tokens`."""
        if self.variant == "whole":
            reasons, notes, values = _whole(pool, desk)
        elif self.variant == "conditional":
            reasons, notes, values = read_pass(desk.passed(_PASSES[self.variant]))
        else:
            found = desk.passed(_PASSES[self.variant])
            reasons, notes, values = dict(found.reasons), dict(found.notes), list(found.values)
        means, counts = own_tokens(values)
        for row in np.flatnonzero(counts == 0):
            reasons.setdefault(int(row), "too_few_tokens")
        raw = perplexity(means)
        losses = replace(RowLosses.empty(len(pool)), reasons=reasons, notes=notes)
        scores = scores_of(raw, losses, direction=self.direction)
        return replace(scores, columns={f"ppl_{self.variant}": raw, "num_tokens": counts})


def _whole(pool: Pool, desk: Desk) -> tuple[dict[int, str], dict[int, str], list[npt.NDArray[np.float32]]]:
    """Losses of all tokens; a row without a response has no score here either."""
    from sftbench import Nll, Passage

    model = desk.language_model("scoring")
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}

    def passages(rows: list[Row], start: int) -> Iterator[Passage]:
        texts = ["\n".join(message.content for message in row.messages if message.content) for row in rows]
        ids = model.tokenizer(texts, verbose=False)["input_ids"]
        for at, (row, each) in enumerate(zip(rows, ids, strict=True), start):
            if not row.response:
                reasons[at] = "empty_response"
            if len(each) > model.max_length:
                notes[at] = "response_truncated"
            kept = np.asarray(each[: model.max_length] if row.response else [], dtype=np.int32)
            yield Passage(token_ids=kept, scored=np.arange(len(kept)) > 0)

    values, start = [], 0
    with desk.progress(len(pool), "row") as progress:
        for rows in pool.batches():
            values += [found["nll"] for found in model.run(passages(rows, start), statistics=[Nll()])]
            start += len(rows)
            progress.advance(len(rows))
    return reasons, notes, values
