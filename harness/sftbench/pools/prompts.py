"""Prompts of benchmarks, read from the shapes in which they are published, in one form."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.pools.answers import turns_are_answers
from sftbench.pools.files import Placed, rows_in_file
from sftbench.pools.forms import compact
from sftbench.pools.hub import hub_dataset, rows_on_hub

Prompt = dict[str, Any]
ID_KEYS = ("id", "uid", "question_id", "prompt_id")
_PROMPTS = ("instruction", "prompt", "turns", "messages", "question")
_FORMAT_VERSION = "1"
"""Bumped when the same file would give other prompts."""


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Prompts as rows of a pool, in the form `messages`, and how many there are without a limit.

    `_open_turns` of a row says how many of its responses are to be written, where it is more than the last, and
    `_temperature` how warm. `num_empty` prompts had no text and were left out.
    """

    rows: tuple[Prompt, ...]
    num_in_all: int
    num_empty: int

    @property
    def key(self) -> str:
        """What identifies the prompts, wherever they lie."""
        return key_of({"rows": [compact(row) for row in self.rows], "reader": _FORMAT_VERSION})


@dataclass(frozen=True, kw_only=True)
class PromptLine:
    """A prompt in its place (`FILE, line 3`): as the file has it, and in the form `messages`. `id` is the one it came
    with."""

    where: str
    id: str | None
    raw: Mapping[str, Any]
    row: Prompt

    @property
    def num_turns(self) -> int:
        """How many of its responses are to be written."""
        return int(self.row.get("_open_turns", 1))

    @property
    def instruction(self) -> str:
        """What was asked before the first response that is to be written."""
        return asked_of(self.row["messages"], self.num_turns)


def read_prompts(source: str, *, name: str, temperatures: Mapping[str, float], limit: int | None = None) -> Prompts:
    """The first `limit` prompts of a file (or of a dataset, as `hf:ORG/NAME`) that have any text.

    Raises `UsageError` as `prompt_lines` does, and for an id that comes twice.
    """
    rows: list[Prompt] = []
    seen: dict[str, str] = {}
    num_empty = 0
    for position, line in enumerate(prompt_lines(source, name=name, temperatures=temperatures)):
        row = line.row
        before = seen.setdefault(row["id"], line.where)
        if before != line.where:
            raise UsageError(f"{line.where}: the id '{row['id']}' was in {before.rpartition(', ')[2]} already")
        if all(not turn["content"].strip() for turn in row["messages"] if turn["role"] == "user"):
            num_empty += 1
        else:
            rows.append({**row, "_position": position})
    if not rows:
        raise UsageError(f"{source} has no prompt")
    return Prompts(rows=tuple(itertools.islice(rows, limit)), num_in_all=len(rows), num_empty=num_empty)


def prompt_lines(
    source: str, *, name: str = "row", temperatures: Mapping[str, float] = MappingProxyType({})
) -> Iterator[PromptLine]:
    """The prompts of a file or dataset, one after another; those without an id have it made of `name` and their place.

    An object has a prompt under `instruction` (with `input`), `prompt`, `turns` (several user turns), `messages` (a
    dialogue that ends with a user turn, or with the reference) or `question`, and may have an id, `reference` (or
    `reference_turns`, or `output`), `category` and `temperature`. Raises `UsageError` with file and line for anything
    else, and where there is none.
    """
    position = -1
    for position, (where, raw) in enumerate(placed(source)):
        try:
            found = given_id(raw)
            row = _prompt(raw, f"{name}-{position}" if found is None else found, temperatures)
        except (ValueError, TypeError) as problem:
            raise UsageError(f"{source}, {where}: {problem}") from None
        yield PromptLine(where=f"{source}, {where}", id=found, raw=raw, row=row)
    if position < 0:
        raise UsageError(f"{source} has no prompt")


def placed(source: str) -> Iterator[Placed]:
    """The objects of a file or of a dataset on the hub, with where they stand."""
    on_hub = hub_dataset(source)
    return rows_on_hub(on_hub) if on_hub else rows_in_file(Path(source).expanduser())


def given_id(raw: Mapping[str, Any]) -> str | None:
    """The id that a row of prompts or of answers has. Raises `ValueError` as `id_text` does."""
    key = next((each for each in ID_KEYS if raw.get(each) is not None), None)
    if key is None:
        return None
    return id_text(raw[key], key)


def id_text(value: object, key: str) -> str:
    """An id as text: 0 and 0.0 are the same. Raises `ValueError` for one that is neither text nor a whole number."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float):
        raise ValueError(f"'{key}' is {value}; an id is text or a whole number")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError(f"'{key}' is a {type(value).__name__}; an id is text or a number")
    return str(value)


def _prompt(raw: Mapping[str, Any], its_id: str, temperatures: Mapping[str, float]) -> Prompt:
    key = _prompt_key(raw)
    if key is None:
        raise ValueError(f"no prompt among the keys {', '.join(map(str, raw))}: expected {' or '.join(_PROMPTS)}")
    messages, num_open = _turns(raw, key)
    category = raw.get("category")
    temperature = raw.get("temperature", temperatures.get(str(category), 0.0))
    is_number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not is_number or not 0 <= temperature <= sys.float_info.max:
        raise ValueError(f"temperature {temperature!r} is not a number of 0 or more")
    row = {**raw, "id": its_id, "messages": messages}
    row |= {"_open_turns": num_open} if num_open > 1 else {}
    return row | ({"_temperature": float(temperature)} if temperature else {})


def _prompt_key(raw: Mapping[str, Any]) -> str | None:
    """Under which key the prompt is: the first that has any."""
    filled = (each for each in _PROMPTS if raw.get(each))
    return next(filled, next((each for each in _PROMPTS if each in raw), None))


def _turns(raw: Mapping[str, Any], key: str) -> tuple[list[dict[str, str]], int]:
    """The dialogue of a prompt, and how many of its responses are to be written."""
    turns = raw.get("turns") or raw[key]
    return _dialogue(raw, turns) if _has_roles(turns) else _as_asked(raw, turns)


def asked_of(messages: Sequence[Mapping[str, Any]], num_open: int) -> str:
    """What the user says before the first response that is to be written."""
    places = [at for at, turn in enumerate(messages) if turn["role"] == "assistant"]
    first = places[-num_open] if len(places) >= num_open else len(messages)
    return "\n".join(str(turn["content"]) for turn in messages[:first] if turn["role"] == "user")


def asked_in(raw: Mapping[str, Any]) -> str | None:
    """What a row of answers says that it answers, as `PromptLine.instruction` has it; None where it does not.

    Raises `ValueError` for a prompt that is no text.
    """
    told = {key: raw[key] for key in (*_PROMPTS, "input") if raw.get(key) is not None}
    if turns_are_answers(raw):
        del told["turns"]
    if _has_roles(told.get("messages")):
        told["messages"] = [turn for turn in told["messages"] if turn["role"] == "user"]
    key = _prompt_key(told)
    return None if key is None or told[key] == [] else asked_of(*_turns(told, key))


def _as_asked(raw: Mapping[str, Any], turns: object) -> tuple[list[dict[str, str]], int]:
    """User turns, each with its reference (nothing where there is none) as the response, and how many there are.

    Raises `ValueError` for turns that are no text, and for more references than turns.
    """
    listed = turns if isinstance(turns, Sequence) and not isinstance(turns, str) else [turns]
    texts = [_content(turn) for turn in listed]
    if isinstance(raw.get("input"), str) and raw["input"]:
        texts[0] += "\n" + raw["input"]
    references = raw.get("reference_turns") or raw.get("reference") or raw.get("output") or []
    references = [references] if isinstance(references, str) else [_content(each) for each in references]
    if len(references) > len(texts):
        raise ValueError(f"{len(references)} references for {len(texts)} turns")
    references += [""] * (len(texts) - len(references))
    pairs = zip(texts, references, strict=True)
    return [message for pair in pairs for message in _pair(*pair)], len(texts)


def _pair(asked: str, reference: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": reference}]


def _has_roles(turns: object) -> bool:
    """Whether turns say who speaks, as in a dialogue that was begun."""
    return isinstance(turns, Sequence) and any(isinstance(turn, Mapping) and "role" in turn for turn in turns)


def _dialogue(raw: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, str]], int]:
    messages = [{"role": str(turn["role"]), "content": _content(turn)} for turn in turns]
    if messages[-1]["role"] != "assistant":
        reference = raw.get("reference")
        messages.append({"role": "assistant", "content": reference if isinstance(reference, str) else ""})
    return messages, 1


def _content(turn: object) -> str:
    """A turn that is a text, or an object with one."""
    text = turn.get("content") if isinstance(turn, Mapping) else turn
    if not isinstance(text, str):
        raise ValueError(f"a turn is a {type(text).__name__} where text is expected")
    return text
