"""Rows as one text each, with the characters that belong to responses marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sftbench.rooms import Message, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The text of a row. `turns` are the character ranges of responses, end-of-turn marker included.

    Character c of the last response stands at `origin + c` of the text; its content ends before `content_end`.
    """

    text: str
    turns: tuple[tuple[int, int], ...]
    origin: int
    content_end: int


def render_bare(row: Row) -> Rendered:
    """Prompt, newline, last response; without a prompt the response stands alone."""
    prompt = row.prompt + "\n" if row.prompt else ""
    text = prompt + row.response
    return Rendered(text=text, turns=((len(prompt), len(text)),), origin=len(prompt), content_end=len(text))


def render_plain(row: Row, tokenizer: PreTrainedTokenizerFast) -> Rendered:
    """The training form for tokenizers without a chat template: each response ends with the EOS token."""
    text, turns, origin, content_end = "", [], 0, 0
    for message in row.messages:
        start = len(text)
        if message.role != "assistant":
            text += message.content + "\n"
            continue
        text += message.content
        origin, content_end = start, len(text)
        text += str(tokenizer.eos_token or "")
        turns.append((start, len(text)))
    return Rendered(text=text, turns=tuple(turns), origin=origin, content_end=content_end)


def render_chat(row: Row, tokenizer: PreTrainedTokenizerFast) -> Rendered:
    """The tokenizer's chat template over all turns.

    Templates may strip or rewrite contents, so that each message is looked for after the one before it.
    The special token that follows a response (after whitespace at most) is its end-of-turn marker.
    """
    text = _apply(row.messages, tokenizer, ask=False)
    cursor, turns, origin, content_end = 0, [], 0, 0
    for index, message in enumerate(row.messages):
        content = message.content if message.content in text[cursor:] else message.content.strip()
        found = text.find(content, cursor)
        if found < 0:
            continue
        cursor = found + len(content)
        if message.role != "assistant":
            continue
        marker = _markers(tokenizer).match(text, cursor)
        end = marker.end() if marker else cursor
        turns.append((_turn_start(row.messages[:index], text, found, tokenizer), end))
        origin, content_end = found - message.content.find(content), cursor
        cursor = end
    return Rendered(text=text, turns=tuple(turns), origin=origin, content_end=content_end)


def _turn_start(before: Sequence[Message], text: str, found: int, tokenizer: PreTrainedTokenizerFast) -> int:
    """Where the model takes over: spaces that the generation prompt leaves out belong to the response."""
    if found == 0 or text[found - 1] != " ":
        return found
    head = _apply(before, tokenizer, ask=True)
    between = text[len(head) : found]
    return len(head) if text.startswith(head) and between.strip() == "" and len(head) <= found else found


def render_prompt(row: Row, tokenizer: PreTrainedTokenizerFast) -> str:
    """What the model is given when it is to answer: the training form up to the last response."""
    messages = row.messages[:-1] if row.messages and row.messages[-1].role == "assistant" else row.messages
    if tokenizer.chat_template:
        return _apply(messages, tokenizer, ask=True)
    return render_plain(Row(id=row.id, messages=messages), tokenizer).text


def _apply(messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast, *, ask: bool) -> str:
    turns = [{"role": each.role, "content": each.content} for each in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))


def _markers(tokenizer: PreTrainedTokenizerFast) -> re.Pattern[str]:
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return _pattern(tuple(sorted(special | set(tokenizer.all_special_tokens), key=len, reverse=True)))


@lru_cache(maxsize=32)
def _pattern(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\s*(?:" + "|".join(map(re.escape, tokens)) + ")" if tokens else r"(?!)")
