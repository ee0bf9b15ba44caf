"""Asking the language model that the user named: prompts from data files, answers read or rejected with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import compress
from string import Template
from typing import Any, TypeVar

from sftbench import Chat, Json, Message
from sftbench_plugins.generators.parents import Parent

T = TypeVar("T")

NUM_ATTEMPTS = 3
"""One, and two more with other seeds for an answer that is empty or cannot be read."""
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


class Unusable(ValueError):
    """An answer that cannot be used, with the reason by which it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt template of a data file. `name` has its version, `digest` tells its text."""

    name: str
    digest: str
    system: str
    user: str

    def filled(self, **slots: str) -> tuple[Message, ...]:
        """The messages. Raises `KeyError` for a slot that is not filled."""
        system = Template(self.system).substitute(slots).strip()
        user = Message(role="user", content=Template(self.user).substitute(slots).strip())
        return (Message(role="system", content=system), user) if system else (user,)

    def size(self, **slots: str) -> int:
        """Characters of all messages."""
        return sum(len(message.content) for message in self.filled(**slots))


@cache
def prompt(name: str) -> Prompt:
    """The prompt `NAME.yaml` of this folder."""
    import yaml

    text = (files(__package__) / "prompts" / f"{name}.yaml").read_text(encoding="utf-8")
    told: dict[str, Any] = yaml.safe_load(text)
    return Prompt(
        name=f"{name}@{told['version']}", digest=digest_of(text), system=told.get("system", ""), user=told["user"]
    )


def digest_of(text: str) -> str:
    """What tells a text of a prompt from any other one."""
    return sha256(text.encode()).hexdigest()[:16]


def digests(*names: str) -> dict[str, Json]:
    """What identifies the texts of prompts, by name and version: for the record."""
    return {prompt(name).name: prompt(name).digest for name in names}


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a request draws."""

    temperature: float
    top_p: float = 1.0
    max_new_tokens: int = 1024


def ask(
    chat: Chat,
    requests: Sequence[tuple[Message, ...] | str],
    parse: Callable[[str], T],
    *,
    seeds: Sequence[int],
    sampling: Sampling,
    stop: tuple[str, ...] = (),
    json_schema: Mapping[str, Json] | None = None,
    most: int | None = None,
) -> list[T | Unusable]:
    """An answer for each request (messages, or a raw prompt), in order, or why there is none.

    `parse` raises `Unusable`; any other `ValueError` counts as `parse_error`. A request of more than `most` characters
    is not made, which is `prompt_too_long`.
    """
    fits = [most is None or _size(request) <= most for request in requests]
    answers = iter(
        _asked(
            chat, list(compress(requests, fits)), parse, seeds=list(compress(seeds, fits)), sampling=sampling,
            stop=stop, json_schema=json_schema,
        )
    )  # fmt: skip
    return [next(answers) if fit else Unusable("prompt_too_long") for fit in fits]


def _size(request: tuple[Message, ...] | str) -> int:
    return len(request) if isinstance(request, str) else sum(len(message.content) for message in request)


def _asked(
    chat: Chat,
    requests: Sequence[tuple[Message, ...] | str],
    parse: Callable[[str], T],
    *,
    seeds: Sequence[int],
    sampling: Sampling,
    stop: tuple[str, ...],
    json_schema: Mapping[str, Json] | None,
) -> list[T | Unusable]:
    from sftbench import ChatRequest

    made = [
        ChatRequest(
            messages=() if isinstance(request, str) else request,
            prompt=request if isinstance(request, str) else None,
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            stop=stop,
            json_schema=json_schema,
        )
        for request, seed in zip(requests, seeds, strict=True)
    ]
    answers = chat.ask(made, parse, num_attempts=NUM_ATTEMPTS, lenient=True) if made else []
    # Of a text that was cut off, only an object is whole: it was read to its end.
    closed = json_schema is not None
    return [
        each.value
        if each.reason is None and each.value is not None and (each.ended or closed)
        else Unusable(_reason(each.text, parse) if each.ended else "response_cut_off")
        for each in answers
    ]


def _reason(text: str | None, parse: Callable[[str], object]) -> str:
    """Why the last text that was given is of no use."""
    if text is None:
        return "model_error"
    try:
        parse(text)
    except Unusable as problem:
        return problem.reason
    except ValueError:
        pass
    return "parse_error"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Messages that keep to a length, and what was left out for it; None where that is not enough."""

    messages: tuple[Message, ...] | None
    notes: tuple[str, ...] = ()
    num_examples: int = 0


def fitted(template: Prompt, *, most: int, examples: Sequence[str] = (), context: str = "", **slots: str) -> Fitted:
    """A prompt of at most `most` characters: the last examples go first, then the end of the context."""

    def size(kept: Sequence[str], text: str) -> int:
        return template.size(examples="\n\n".join(kept), context=text, **slots)

    kept, text, notes = list(examples), context, []
    while kept and size(kept, text) > most:
        kept.pop()
        notes = ["examples_dropped"]
    excess = size(kept, text) - most
    if excess > 0 and excess < len(text):
        text = text[: len(text) - excess]
        notes.append("context_truncated")
    if size(kept, text) > most:
        return Fitted(messages=None, notes=tuple(notes))
    messages = template.filled(examples="\n\n".join(kept), context=text, **slots)
    return Fitted(messages=messages, notes=tuple(notes), num_examples=len(kept))


def shown(parent: Parent) -> str:
    """A real row as an example in a prompt."""
    before = {"history": parent.said_before} if parent.said_before else {}
    row = {**before, "instruction": parent.question, "input": parent.context, "output": parent.answer}
    return json.dumps(row, ensure_ascii=False)


def plain_answer(text: str) -> str:
    """An answer as it is. Raises `Unusable` for an empty one."""
    if not text.strip():
        raise Unusable("empty_response")
    return text.strip()


def json_object(text: str) -> dict[str, Any]:
    """The first JSON object of a text, in a code fence or not. Raises `Unusable`."""
    if not text.strip():
        raise Unusable("empty_response")
    fenced = _FENCE.search(text)
    inner = fenced[1] if fenced else text
    try:
        value, _ = json.JSONDecoder().raw_decode(inner, inner.index("{"))
    except (ValueError, RecursionError):
        raise Unusable("parse_error") from None
    if not isinstance(value, dict):
        raise Unusable("parse_error")
    return value


def text_field(told: Mapping[str, Any], name: str, *, empty: str | None = None) -> str:
    """A text of an object, stripped. Raises `Unusable`: `parse_error` if it is no text, `empty` if there is nothing."""
    value = told.get(name, "" if empty is None else None)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Unusable("parse_error")
    if not value.strip() and empty is not None:
        raise Unusable(empty)
    return value.strip()


def text_list(told: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, stripped, without empty ones. Raises `Unusable` if it is none."""
    value = told.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Unusable("parse_error")
    return [each.strip() for each in value if each.strip()]


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """A row as a language model gives it."""

    instruction: str
    context: str
    response: str


def schema(**properties: Json) -> dict[str, Json]:
    """The JSON schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_TEXT = {"type": "string"}
ROW_SCHEMA = schema(instruction=_TEXT, input=_TEXT, output=_TEXT)
INSTRUCTION_SCHEMA = schema(instruction=_TEXT)


def new_instruction(text: str) -> str:
    """An instruction out of a JSON object. Raises `Unusable`."""
    return text_field(json_object(text), "instruction", empty="empty_instruction")


def new_row(text: str) -> NewRow:
    """A row out of a JSON object. Raises `Unusable`."""
    told = json_object(text)
    return NewRow(
        instruction=text_field(told, "instruction", empty="empty_instruction"),
        context=text_field(told, "input"),
        response=text_field(told, "output", empty="empty_response"),
    )
