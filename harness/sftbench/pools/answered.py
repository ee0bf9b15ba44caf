"""Answers that others gave to prompts, by prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sftbench.errors import UsageError
from sftbench.pools.answers import answer_texts, model_named
from sftbench.pools.prompts import ID_KEYS, asked_in, asked_of, id_text, placed


def read_answers(source: str, model: str | None, asked: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The answers of a file to prompts, by prompt id: a text for each open turn.

    An object has an answer (see `answer_texts`), and an id of the prompt, its place in the benchmark (`i`) or its
    `instruction`; `model` (or `generator`) picks one of several. Raises `UsageError` where
    models are mixed, where a prompt has two answers or none, and for a row that has neither.
    """
    prompts = list(asked)
    by_name: dict[object, Mapping[str, Any]] = {}
    for prompt in prompts:
        by_name |= {("id", prompt["id"]): prompt, ("i", prompt.get("_position")): prompt}
        by_name[("text", _key(asked_of(prompt["messages"], int(prompt.get("_open_turns", 1)))))] = prompt
    found: dict[str, tuple[str, ...]] = {}
    models: set[str] = set()
    for where, raw in placed(source):
        named = model_named(raw)
        if model is not None and named != model:
            models.add(named)
            continue
        models.add(named)
        prompt_ = next((by_name[name] for name in _names_of(raw, f"{source}, {where}") if name in by_name), None)
        if prompt_ is None:
            continue
        if len(models) > 1 and model is None:
            raise UsageError(f"{source} has answers of {', '.join(sorted(models))}: name one, as {source}#MODEL")
        if prompt_["id"] in found:
            raise UsageError(f"{source}, {where}: a second answer to prompt '{prompt_['id']}'")
        found[prompt_["id"]] = _answer(raw, int(prompt_.get("_open_turns", 1)), f"{source}, {where}")
    missing = [prompt["id"] for prompt in prompts if prompt["id"] not in found]
    if missing:
        other = f"; it has answers of {', '.join(sorted(models)[:10])}" if model is not None else ""
        raise UsageError(f"{source} answers {len(found)} of {len(prompts)} prompts; '{missing[0]}' is missing{other}")
    return found


def _names_of(raw: Mapping[str, Any], place: str) -> Iterator[object]:
    try:
        for key in ID_KEYS:
            if raw.get(key) is not None:
                yield ("id", id_text(raw[key], key))
        if isinstance(raw.get("i"), int):
            yield ("i", raw["i"])
        asked = asked_in(raw)
    except ValueError as problem:
        raise UsageError(f"{place}: {problem}") from None
    if asked is not None:
        yield ("text", _key(asked))


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _answer(raw: Mapping[str, Any], num_turns: int, where: str) -> tuple[str, ...]:
    turns = answer_texts(raw, where)
    if len(turns) != num_turns:
        raise UsageError(f"{where}: {len(turns)} answers to a prompt of {num_turns} turns")
    return turns
