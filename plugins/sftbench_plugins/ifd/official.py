"""The authors' procedures for IFD, as facts: which text, which truncation, which tokens are averaged.

Superfiltering (tianyi-lab/Superfiltering @ f0764af, data_analysis.py) and Cherry (tianyi-lab/Cherry_LLM
@ 01fac8d, data_analysis.py and data_by_IFD.py). Both find the response by its last occurrence in the
text and count the tokens of what stands before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sftbench import LanguageModel, Nll, Passage, Pool, Row
from sftbench_plugins.ifd.losses import RowLosses

if TYPE_CHECKING:
    from sftbench import Progress

_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{context}\n\n### Response:"
)
_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """What the two procedures differ in. `slack` tokens are added to the room for the response alone."""

    templated: bool
    header: str
    slack: int
    max_length: int

    def prompt(self, row: Row, form: str) -> str:
        """The text before the response."""
        instruction, context = _instruction(row, form)
        if not self.templated:
            return instruction + "\n" + (context + "\n" if context else "")
        return (_WITH_INPUT if context else _WITHOUT_INPUT).format(instruction=instruction, context=context)


SUPER = Procedure(templated=False, header="", slack=1, max_length=1024)
CHERRY = Procedure(templated=True, header="### Response:", slack=4, max_length=512)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A row as the procedure reads it."""

    given: Passage
    alone: Passage
    reason: str | None
    truncated: bool


def measure(pool: Pool, model: LanguageModel, procedure: Procedure, progress: Progress) -> RowLosses:
    """Mean losses of every row by the procedure, each over its own tokens."""
    losses = RowLosses.empty(len(pool))
    start = 0
    for batch in pool.batches():
        readings = list(_read(batch, pool.form, model, procedure))
        for at, reading in enumerate(readings, start):
            if reading.reason is not None:
                losses.reasons[at] = reading.reason
            elif reading.truncated:
                losses.notes[at] = "response_truncated"
        for view, means, counts in (
            ("given", losses.conditional, losses.num_conditional),
            ("alone", losses.unconditional, losses.num_unconditional),
        ):
            passages = [getattr(reading, view) for reading in readings]
            for at, found in enumerate(model.run(passages, statistics=[Nll()]), start):
                counts[at] = len(found["nll"])
                means[at] = found["nll"].astype(np.float64).mean() if len(found["nll"]) else np.nan
        start += len(batch)
        progress.advance(len(batch))
    return losses


def _read(rows: Sequence[Row], form: str, model: LanguageModel, procedure: Procedure) -> Iterator[Reading]:
    prompts = [procedure.prompt(row, form) for row in rows]
    given = [prompt + row.response for prompt, row in zip(prompts, rows, strict=True)]
    alone = [procedure.header + row.response for row in rows]
    heads = [text[: text.rfind(row.response)] for text, row in zip(given + alone, [*rows, *rows], strict=True)]
    ids: list[list[int]] = model.tokenizer(prompts + given + alone + heads, verbose=False)["input_ids"]
    count = len(rows)
    for at, row in enumerate(rows):
        mine = [ids[at + part * count] for part in range(5)]
        yield _reading(row, mine, procedure, window=min(procedure.max_length, model.max_length))


def _reading(row: Row, ids: Sequence[list[int]], procedure: Procedure, *, window: int) -> Reading:
    prompt, given, alone, given_head, alone_head = ids
    room = max(0, window - len(prompt) + procedure.slack)
    reading_given, reading_alone = _passage(given[:window], len(given_head)), _passage(alone[:room], len(alone_head))
    num_given, num_alone = int(reading_given.scored.sum()), int(reading_alone.scored.sum())
    reason = None
    if not row.response:
        reason = "empty_response"
    elif not num_given or len(prompt) >= window:
        reason = "prompt_too_long"
    elif not num_alone:
        reason = "too_few_tokens" if len(alone) - len(alone_head) <= 1 else "prompt_too_long"
    elif procedure.templated and len(prompt) + num_alone > window:
        reason = "over_window"
    return Reading(given=reading_given, alone=reading_alone, reason=reason, truncated=len(given) > window)


def _passage(token_ids: Sequence[int], num_before: int) -> Passage:
    """Everything after the first `num_before` tokens is scored, except a token without context."""
    positions = np.arange(len(token_ids))
    return Passage(token_ids=np.asarray(token_ids, dtype=np.int32), scored=positions >= max(1, num_before))


def _instruction(row: Row, form: str) -> tuple[str, str]:
    """Instruction and input of an Alpaca row; of any other row all that precedes the response, and no input."""
    original = row.original()
    if form == "alpaca" and len(row.messages) == 2:
        return str(original.get("instruction") or ""), str(original.get("input") or "")
    return row.prompt, ""
