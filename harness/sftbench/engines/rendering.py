"""Rows as one text each, with the characters that belong to responses marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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

    Templates may strip contents and put anything before them; what stands after a response is white
    space and special tokens, of which the first ends the turn.
    """
    special = _special(tokenizer)
    text = _apply(row.messages, tokenizer, ask=False)
    turns: list[tuple[int, int]] = []
    origin = content_end = 0
    for index, message in enumerate(row.messages):
        if message.role != "assistant":
            continue
        core = _core(row.messages[: index + 1], text, tokenizer, special=special, after=turns[-1][1] if turns else 0)
        if core < 0:
            continue
        origin = core - (len(message.content) - len(message.content.lstrip()))
        whole = text[max(0, origin) :].startswith(message.content)
        content_end = origin + len(message.content) if whole else core + len(message.content.strip())
        marker = re.compile(rf"\s*(?:{special})").match(text, content_end)
        start = _turn_start(row.messages[:index], text, origin if whole else core, tokenizer)
        turns.append((start, marker.end() if marker else content_end))
    return Rendered(text=text, turns=tuple(turns), origin=origin, content_end=content_end)


def _core(
    messages: Sequence[Message], text: str, tokenizer: PreTrainedTokenizerFast, *, special: str, after: int
) -> int:
    """Where the stripped content of the last of these messages stands in the text, -1 if nowhere."""
    core = messages[-1].content.strip()
    through = _apply(messages, tokenizer, ask=False)
    if text.startswith(through):
        ended = re.sub(rf"(?:\s|{special})+\Z", "", through)
        if ended.endswith(core):
            return len(ended) - len(core)
    # Some templates rewrite a turn when another follows, so that the text up to it is no beginning of the whole.
    head = _apply(messages[:-1], tokenizer, ask=True)
    after = len(head) if text.startswith(head) else after
    found = re.compile(rf"{re.escape(core)}\s*(?:{special})").search(text, after)
    return found.start() if found else text.find(core, after)


def _turn_start(before: Sequence[Message], text: str, found: int, tokenizer: PreTrainedTokenizerFast) -> int:
    """Where the model takes over: spaces that the generation prompt leaves out belong to the response."""
    if found == 0 or text[found - 1] != " ":
        return found
    head = _apply(before, tokenizer, ask=True)
    leaves_out_spaces = text.startswith(head) and len(head) <= found and not text[len(head) : found].strip()
    return len(head) if leaves_out_spaces else found


def render_prompt(row: Row, tokenizer: PreTrainedTokenizerFast) -> str:
    """What the model is given when it is to answer: the training form up to the last response."""
    messages = row.messages[:-1] if row.messages and row.messages[-1].role == "assistant" else row.messages
    if tokenizer.chat_template:
        return _apply(messages, tokenizer, ask=True)
    return render_plain(Row(id=row.id, messages=messages), tokenizer).text


def _apply(messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast, *, ask: bool) -> str:
    turns = [{"role": each.role, "content": each.content} for each in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))


def _special(tokenizer: PreTrainedTokenizerFast) -> str:
    """A pattern for any special token; one that never matches where there is none."""
    tokens = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    tokens |= set(tokenizer.all_special_tokens)
    return "|".join(map(re.escape, sorted(tokens, key=lambda token: (-len(token), token)))) or "(?!)"
