"""The forms that a row can come in: Alpaca, chat messages and ShareGPT, recognised by keys and turned into messages.

Every row ends up with an assistant turn at its end. Turns after the last assistant turn hold nothing
to train on and are left out of `messages`; a row without any assistant turn gets an empty one, so
that scorers can name it (`empty_response`) and no position in the pool shifts. `raw` keeps the row whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sftbench.rooms import Message, Row

ACCEPTED: Final = (
    "accepted are Alpaca (instruction, input, output), chat (messages: role, content) "
    "and ShareGPT (conversations: from, value)"
)
_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
}


def form_of(raw: Mapping[str, Any], known: Collection[str] = ()) -> str | None:
    """`messages`, `sharegpt` or `alpaca` by the keys of a row; None if it has none of the three.

    In a pool that is known to hold Alpaca rows, an instruction alone is a row without a response.
    """
    if _is_list(raw.get("messages")):
        return "messages"
    if _is_list(raw.get("conversations")):
        return "sharegpt"
    has_output = "output" in raw or "alpaca" in known
    return "alpaca" if "instruction" in raw and has_output else None


def row_of(raw: Mapping[str, Any], form: str | None, position: int) -> Row:
    """A row as its source has it, in the form that `form_of` found, as a `Row`.

    The id is `id` or `_id`, else made of the position. `_planted` and `_planted_spans` are read where
    they stand. Raises `ValueError` with a reason that lacks only the place of the row.
    """
    return Row(
        id=_id(raw, position),
        messages=tuple(_messages(raw, form)),
        raw=compact(raw),
        planted=_text(raw.get("_planted"), "_planted") or None,
        planted_spans=tuple((int(start), int(end)) for start, end in raw.get("_planted_spans") or ()),
    )


def _messages(raw: Mapping[str, Any], form: str | None) -> list[Message]:
    if form is None:
        raise ValueError(f"the row has the keys {', '.join(map(str, raw)) or '(none)'}; {ACCEPTED}")
    if form == "alpaca":
        messages = _alpaca(raw)
    else:
        column = "messages" if form == "messages" else "conversations"
        messages = [_turn(turn, column) for turn in raw[column]]
    system = raw.get("system")
    if isinstance(system, str) and system and not (messages and messages[0].role == "system"):
        messages.insert(0, Message(role="system", content=system))
    return _ending_in_a_response(messages)


def _alpaca(raw: Mapping[str, Any]) -> list[Message]:
    """The input follows the instruction on a new line unless it is the empty string; `history` holds earlier turns."""
    messages = []
    for pair in raw.get("history") or ():
        if not _is_list(pair) or len(pair) != 2:
            raise ValueError("'history' must be a list of [instruction, response] pairs")
        messages.append(Message(role="user", content=_text(pair[0], "history")))
        messages.append(Message(role="assistant", content=_text(pair[1], "history")))
    instruction, context = _text(raw["instruction"], "instruction"), _text(raw.get("input"), "input")
    messages.append(Message(role="user", content=f"{instruction}\n{context}" if context else instruction))
    messages.append(Message(role="assistant", content=_text(raw.get("output"), "output")))
    return messages


def _turn(turn: object, column: str) -> Message:
    if not isinstance(turn, Mapping):
        raise ValueError(f"'{column}' holds a {type(turn).__name__} where a turn is expected; {ACCEPTED}")
    role, content = ("role", "content") if "role" in turn else ("from", "value")
    named = turn.get(role)
    if not isinstance(named, str) or named not in _ROLES or content not in turn:
        raise ValueError(
            f"'{column}' holds a turn with the keys {', '.join(map(str, turn)) or '(none)'} and the role {named!r}; "
            f"roles are {', '.join(_ROLES)}; {ACCEPTED}"
        )
    return Message(role=_ROLES[named], content=_text(turn[content], content))


def _ending_in_a_response(messages: list[Message]) -> list[Message]:
    for length in range(len(messages), 0, -1):
        if messages[length - 1].role == "assistant":
            return messages[:length]
    return [*messages, Message(role="assistant", content="")]


def _text(value: object, field: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"'{field}' is a {type(value).__name__} where text is expected")
    return value


def _id(raw: Mapping[str, Any], position: int) -> str:
    for name in ("id", "_id"):
        value = raw.get(name)
        if isinstance(value, (str, int, float, UUID)):
            return str(value)
        if value is not None:
            raise ValueError(f"'{name}' is a {type(value).__name__}; an id is text or a number")
    return f"row-{position:07d}"


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def compact(raw: Mapping[str, Any]) -> str:
    """A row as one line of JSON. Dates become ISO 8601 text, decimals and UUIDs text; bytes raise `ValueError`."""
    try:
        return _encode(raw if isinstance(raw, dict) else dict(raw))
    except TypeError:
        for name, value in raw.items():
            try:
                _encode(value)
            except TypeError as problem:
                raise ValueError(f"column '{name}' holds {problem}, which JSON cannot; drop the column first") from None
        raise


def _stand_in(value: object) -> str:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_stand_in).encode
