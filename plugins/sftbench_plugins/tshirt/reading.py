"""Rows as the two token sequences that T-SHIRT compares: the response after its prompt, and the response alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench import Encoded, Passage, Row, UsageError, encode_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TOKENISED_TOGETHER = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A row as it goes through the model twice.

    `noise_places` int64, one per token of `alone`, says which token of `conditional` it shares its
    noise with. `num_shared` counts the response tokens that both passages score.
    """

    conditional: Passage
    alone: Passage
    noise_places: npt.NDArray[np.int64]
    num_shared: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """A row, as a pair or with the reason why there is none.

    `num_drawn_tokens` is the length L for which the authors' code would draw noise: 0 where it crashes
    before, more than 0 also for rows that it scores as NaN.
    """

    row_id: str
    pair: Pair | None = None
    reason: str | None = None
    note: str | None = None
    num_drawn_tokens: int = 0


def read_by_offsets(rows: Iterable[Row], tokenizer: PreTrainedTokenizerFast, *, max_length: int) -> Iterator[Reading]:
    """Prompt, newline and response as one text, split by character offsets; the same ids stand in both passages."""
    rows, rows_again = tee(rows)
    for row, encoded in zip(
        rows_again, encode_rows(rows, tokenizer, template="bare", max_length=max_length), strict=True
    ):
        yield _from_encoded(row, encoded, bos_token_id=tokenizer.bos_token_id)


def _from_encoded(row: Row, encoded: Encoded, *, bos_token_id: int | None) -> Reading:
    if encoded.reason is not None:
        return Reading(row_id=encoded.row_id, reason=encoded.reason)
    leads = bos_token_id is not None and not encoded.response[0] and int(encoded.token_ids[0]) == bos_token_id
    places = np.flatnonzero(encoded.response)
    unscored = int(places[0] == 0 or not leads)
    if len(places) - unscored < 1:
        return Reading(row_id=encoded.row_id, reason="prompt_too_long" if encoded.kept_share < 1 else "too_few_tokens")
    pair = Pair(
        conditional=_with_context(Passage.conditional(encoded)),
        alone=_with_context(Passage.response_only(encoded, bos_token_id=bos_token_id if leads else None)),
        noise_places=np.concatenate([[0], places]) if leads else places,
        num_shared=len(places) - unscored,
    )
    note = _note(
        first_token_unscored=places[0] == 0,
        response_truncated=encoded.kept_share < 1,
        history_in_prompt=_num_turns(row) > 1,
    )
    return Reading(row_id=encoded.row_id, pair=pair, note=note)


def _with_context(passage: Passage) -> Passage:
    """The passage without a score for its first token, which nothing precedes."""
    return Passage(token_ids=passage.token_ids, scored=passage.scored & (np.arange(len(passage.scored)) > 0))


def read_as_authors(rows: Iterable[Row], tokenizer: PreTrainedTokenizerFast, *, max_length: int) -> Iterator[Reading]:
    """The first turn, with prompt, response and both together tokenised apart, as the authors' code does.

    Rows on which that code crashes get a reason and count no noise. A tokenizer that adds a BOS makes
    it crash on every row: `UsageError`.
    """
    if tokenizer("")["input_ids"]:
        raise UsageError("T-SHIRT mode=official needs a tokenizer that adds no tokens of its own; use mode=paper")
    for batch in _batched(rows, _TOKENISED_TOGETHER):
        prompts, responses = zip(*(_first_turn(row) for row in batch), strict=True)
        whole = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
        ids = [tokenizer(list(texts), verbose=False)["input_ids"] for texts in (prompts, responses, whole)]
        for row, prompt_ids, response_ids, whole_ids in zip(batch, *ids, strict=True):
            yield _as_authors(row, len(prompt_ids), response_ids, whole_ids, max_length)


def _as_authors(
    row: Row, num_prompt: int, response_ids: Sequence[int], whole_ids: Sequence[int], max_length: int
) -> Reading:
    whole = np.array(whole_ids[:max_length], dtype=np.int32)
    response = np.array(response_ids[: max(0, max_length - num_prompt)], dtype=np.int32)
    survives = len(response) > 0 and len(whole) - num_prompt == len(response)
    num_drawn = len(whole) if survives else 0
    if not response_ids:
        return Reading(row_id=row.id, reason="empty_response")
    if num_prompt >= max_length - 1:
        return Reading(row_id=row.id, reason="prompt_too_long", num_drawn_tokens=num_drawn)
    if not survives:
        return Reading(row_id=row.id, reason="boundary_mismatch")
    if len(response) < 2:
        return Reading(row_id=row.id, reason="too_few_tokens", num_drawn_tokens=num_drawn)
    places = np.arange(num_prompt, len(whole))
    pair = Pair(
        conditional=Passage(token_ids=whole, scored=np.arange(len(whole)) >= num_prompt),
        alone=Passage(token_ids=response, scored=np.arange(len(response)) >= 1),
        noise_places=places,
        num_shared=len(places) - 1,
    )
    note = _note(response_truncated=len(whole_ids) > max_length, first_turn_only=_num_turns(row) > 1)
    return Reading(row_id=row.id, pair=pair, note=note, num_drawn_tokens=num_drawn)


def _note(**remarks: bool) -> str | None:
    return ", ".join(name for name, applies in remarks.items() if applies) or None


def _num_turns(row: Row) -> int:
    return sum(message.role == "assistant" for message in row.messages)


def _first_turn(row: Row) -> tuple[str, str]:
    prompt = next((message.content for message in row.messages if message.role == "user"), "")
    response = next((message.content for message in row.messages if message.role == "assistant"), "")
    return prompt + "\n", response


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
