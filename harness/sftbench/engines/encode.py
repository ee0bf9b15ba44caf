"""Rows as token ids, with the response found by character offsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sftbench.engines.rendering import Rendered, render_bare, render_chat, render_plain
from sftbench.errors import UsageError
from sftbench.rooms import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TemplateName = Literal["bare", "training"]
_ROWS_PER_CALL = 1000
_SPACE_MARKS = ("\u0120", "\u2581")
"""How byte-level and SentencePiece vocabularies write a leading space."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """One row as tokens.

    `token_ids` int32 [L]; `response` bool [L] is True for response tokens (assistant text, with the
    end-of-turn token where the template has one); `spans` int32 [m, 2] gives for each response token
    its characters within the last response, (-1, -1) when it belongs to an earlier turn or is an
    end-of-turn token. `kept_share` is the share of response tokens that survived truncation.
    `reason` says why no response token is left (`empty_response`, `prompt_too_long`,
    `template_refused`), else None.
    """

    row_id: str
    token_ids: npt.NDArray[np.int32]
    response: npt.NDArray[np.bool_]
    spans: npt.NDArray[np.int32]
    kept_share: float
    reason: str | None


def encode_rows(
    rows: Iterable[Row], tokenizer: PreTrainedTokenizerFast, *, template: TemplateName = "training", max_length: int
) -> Iterator[Encoded]:
    """Tokenise rows, each rendered as one text and split by character offsets; truncated on the right.

    `bare` is prompt, newline, last response, with no end token; `training` is the chat template, or,
    where there is none, content, newline, response, EOS per turn. A token that straddles the boundary
    counts as prompt. Raises `UsageError` for a tokenizer that cannot tell offsets.
    """
    require_offsets(tokenizer)
    templated = template == "training" and bool(tokenizer.chat_template)
    # A chat template writes its own BOS, so that adding one would double it.
    lead = () if templated else leading_tokens(tokenizer)
    stream = iter(rows)
    while batch := list(islice(stream, _ROWS_PER_CALL)):
        rendered = [_render(row, tokenizer, template=template) for row in batch]
        texts = [each.text if each else "" for each in rendered]
        encoding = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for row, text, ids, offsets in zip(
            batch, rendered, encoding["input_ids"], encoding["offset_mapping"], strict=True
        ):
            yield _encode(row, text, tokenizer, ids=ids, offsets=offsets, lead=lead, max_length=max_length)


def require_offsets(tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise `UsageError` unless the tokenizer is a fast one."""
    if not getattr(tokenizer, "is_fast", False):
        name = type(tokenizer).__name__
        raise UsageError(
            f"the tokenizer of '{tokenizer.name_or_path}' ({name}) is not a fast one: no character offsets"
        )


def leading_tokens(tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """The special tokens that the tokenizer itself puts before a text: a BOS, or nothing."""
    with_special = list(tokenizer("a")["input_ids"])
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    first = next((at for at in range(len(with_special)) if with_special[at : at + len(plain)] == plain), 0)
    return tuple(with_special[:first])


def count_response_tokens(rows: Iterable[Row], tokenizer: PreTrainedTokenizerFast) -> Iterator[int]:
    """Tokens of all assistant turns of each row, each turn tokenised alone: no special tokens, no truncation."""
    stream = iter(rows)
    while batch := list(islice(stream, _ROWS_PER_CALL)):
        turns = [[m.content for m in row.messages if m.role == "assistant"] for row in batch]
        flat = [content for contents in turns for content in contents]
        ids = tokenizer(flat, add_special_tokens=False, verbose=False)["input_ids"] if flat else []
        lengths = iter([len(each) for each in ids])
        yield from (sum(islice(lengths, len(contents))) for contents in turns)


def _render(row: Row, tokenizer: PreTrainedTokenizerFast, *, template: TemplateName) -> Rendered | None:
    """The row's text; None when the chat template refuses it (roles out of order, no system turn)."""
    if template == "bare":
        return render_bare(row)
    if not tokenizer.chat_template:
        return render_plain(row, tokenizer)
    from jinja2 import TemplateError

    try:
        return render_chat(row, tokenizer)
    except TemplateError:
        return None


def _encode(
    row: Row,
    rendered: Rendered | None,
    tokenizer: PreTrainedTokenizerFast,
    *,
    ids: Sequence[int],
    offsets: Sequence[tuple[int, int]],
    lead: tuple[int, ...],
    max_length: int,
) -> Encoded:
    rendered = rendered or Rendered(text="", turns=(), origin=0, content_end=0)
    bounds = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
    response = _response_tokens(rendered, bounds, ids, tokenizer)
    if not _has_content(row, rendered):
        response[:] = False
    token_ids = np.concatenate([np.asarray(lead, dtype=np.int32), np.asarray(ids, dtype=np.int32)])[:max_length]
    kept = np.concatenate([np.zeros(len(lead), dtype=np.bool_), response])[:max_length]
    total, num_kept = int(response.sum()), int(kept.sum())
    return Encoded(
        row_id=row.id,
        token_ids=token_ids,
        response=kept,
        spans=_content_spans(row, rendered, bounds[response][:num_kept]),
        kept_share=num_kept / total if total else 1.0,
        reason=_reason(row, rendered, total=total, num_kept=num_kept),
    )


def _response_tokens(
    rendered: Rendered,
    bounds: npt.NDArray[np.int32],
    ids: Sequence[int],
    tokenizer: PreTrainedTokenizerFast,
) -> npt.NDArray[np.bool_]:
    starts, ends = bounds[:, 0], bounds[:, 1]
    response = np.zeros(len(bounds), dtype=np.bool_)
    for start, end in rendered.turns:
        inside = (starts >= start) & (starts < end) & (ends <= end)
        first = int(inside.argmax()) if inside.any() else -1
        if first >= 0 and starts[first] == start > 0 and rendered.text[start - 1] == " " != rendered.text[start]:
            # Some tokenizers leave a token's leading space out of its offsets; it straddles all the same.
            inside[first] = not str(tokenizer.convert_ids_to_tokens(ids[first])).startswith(_SPACE_MARKS)
        response |= inside
    return response


def _has_content(row: Row, rendered: Rendered) -> bool:
    """An end-of-turn token alone is no response."""
    if len(rendered.turns) == 1:
        return bool(row.response)
    return any(message.content for message in row.messages if message.role == "assistant")


def _content_spans(row: Row, rendered: Rendered, bounds: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    if not rendered.turns or not len(bounds):
        return np.empty((0, 2), dtype=np.int32)
    within = (bounds[:, 0] >= rendered.turns[-1][0]) & (bounds[:, 0] < rendered.content_end)
    spans = np.clip(bounds - rendered.origin, 0, len(row.response)).astype(np.int32)
    spans[~within] = -1
    return spans


def _reason(row: Row, rendered: Rendered, *, total: int, num_kept: int) -> str | None:
    if num_kept:
        return None
    if total:
        return "prompt_too_long"
    return "template_refused" if not rendered.turns and row.response else "empty_response"
