"""The text of an answer in a row of a file of answers, in the shapes that such files are handed about in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sftbench.errors import UsageError

ANSWER_KEYS = ("output", "answer", "response", "text")
_MODEL_KEYS = ("model", "model_id", "generator")
_OF_PROMPTS = ("instruction", "prompt", "question")


def answer_texts(row: Mapping[str, Any], place: str) -> tuple[str, ...]:
    """A text for each turn that was answered.

    `output`, `answer`, `response` or `text` (a list for several turns); the `turns` of the first of its `choices`, as
    MT-Bench has it; the last assistant turn of `messages` (whose content may be `{"answer": ...}`, as Arena-Hard has
    it); or `turns`, in a row that holds no prompt, whose turns these would be. Raises `UsageError` naming `place` for a
    row without these.
    """
    told = [key for key in ANSWER_KEYS if key in row]
    if told:
        key = next((each for each in told if row[each] is not None), told[0])
        value = "" if row[key] is None else row[key]
        return _each(value if isinstance(value, list) else [value], place, key)
    choices = row.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return _each(choices[0].get("turns"), place, "choices")
    said = _said(row)
    if said:
        return _each(said[-1:], place, "messages")
    if turns_are_answers(row):
        return _each(row["turns"], place, "turns")
    expected = f"{', '.join(ANSWER_KEYS)}, choices, messages or turns"
    raise UsageError(f"{place}: no answer among the keys {', '.join(row)}; expected one of {expected}")


def turns_are_answers(row: Mapping[str, Any]) -> bool:
    """Whether the `turns` of a row of answers are those, and not prompts: where no prompt is, and no other answer."""
    elsewhere = (*ANSWER_KEYS, "choices", *_OF_PROMPTS)
    return bool(row.get("turns")) and not any(row.get(key) is not None for key in elsewhere) and not _said(row)


def model_named(row: Mapping[str, Any]) -> str:
    """Whose answer a row has, by its own words; empty where it does not say."""
    return next((str(row[key]) for key in _MODEL_KEYS if isinstance(row.get(key), str) and row[key]), "")


def _said(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [turn for turn in row.get("messages") or () if isinstance(turn, Mapping) and turn.get("role") == "assistant"]


def _each(turns: object, place: str, key: str) -> tuple[str, ...]:
    if not isinstance(turns, list) or not turns:
        raise UsageError(f"{place}: '{key}' has no answers in it; a list of texts is expected")
    return tuple(answer_text(_content(turn), place, key) for turn in turns)


def answer_text(value: object, place: str, key: str) -> str:
    """A text, or a `UsageError` that names the key."""
    if not isinstance(value, str):
        raise UsageError(f"{place}: '{key}' is a {type(value).__name__} where text is expected")
    return value


def _content(value: object) -> object:
    """The text of a turn, which Arena-Hard wraps twice."""
    for key in ("content", "answer"):
        value = value[key] if isinstance(value, Mapping) and key in value else value
    return value
