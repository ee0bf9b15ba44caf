"""The published code for "Entropy", as facts: which text, which truncation, which tokens against which predictions.

xiatingyu/SFT-DataSelection-at-scale @ 5a635e4 (entropy_response.py); LEAD copies it. Prompt and response are
tokenised apart, each with the special tokens that the tokenizer adds, and the ids joined. The prediction made
*at* a token is held against that same token instead of the next. The prompt is as long as its ids that are not
0, so each id 0 in it moves the beginning of what is scored one token to the left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench import LanguageModel, Nll, Passage, Pool, Row

if TYPE_CHECKING:
    from sftbench import Progress

Found = tuple[dict[int, str], dict[int, str], list[npt.NDArray[np.float32]]]


def measure(pool: Pool, model: LanguageModel, *, max_length: int, progress: Progress) -> Found:
    """Reasons and notes by row, and for every row the loss of every token that the code scores."""
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    values: list[npt.NDArray[np.float32]] = []
    room = min(max_length, model.max_length)
    for batch in pool.batches():
        prompts = model.tokenizer([prompt_of(row) for row in batch], verbose=False)["input_ids"]
        responses = model.tokenizer([row.response for row in batch], verbose=False)["input_ids"]
        passages = []
        for at, (row, prompt, response) in enumerate(zip(batch, prompts, responses, strict=True), len(values)):
            num_before = int(np.count_nonzero(prompt[:room]))
            reason = "empty_response" if not row.response else "prompt_too_long" if num_before >= room else None
            if reason is not None:
                reasons[at] = reason
            elif len(response) > room - num_before:
                notes[at] = "response_truncated"
            ids = [*prompt[:room], *response[: room - num_before]] if reason is None else []
            passages.append(_passage(ids[: model.max_length], num_before))
        values += [found["nll"] for found in model.run(passages, statistics=[Nll()])]
        progress.advance(len(batch))
    return reasons, notes, values


def prompt_of(row: Row) -> str:
    """All turns before the last response, with markers round each user turn and no white space at the ends."""
    turns = [
        f"\nHuman: {turn.content}\nAssistant: " if turn.role == "user" else turn.content for turn in row.messages[:-1]
    ]
    return "".join(turns).strip()


def _passage(ids: list[int], num_before: int) -> Passage:
    """Predictions made at the tokens from `num_before` on, each held against the token where it is made."""
    # A prediction belongs to the place after it, so that one more place is needed at the end; it is never read.
    scored = np.arange(len(ids) + 1) > num_before
    tokens = np.asarray(ids, dtype=np.int32)
    return Passage(token_ids=np.append(tokens, np.int32(0)), scored=scored, targets=np.insert(tokens, 0, 0))
