"""Prompts of benchmarks, and answers to them: read from the shapes in which they are published, in one form."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.pools.answers import answer_texts
from sftbench.pools.files import Placed, rows_in_file
from sftbench.pools.forms import compact
from sftbench.pools.hub import hub_dataset, rows_on_hub

Prompt = dict[str, Any]
_IDS = ("id", "uid", "question_id", "prompt_id")
_PROMPTS = ("instruction", "prompt", "turns", "messages")
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


def read_prompts(source: str, *, name: str, temperatures: Mapping[str, float], limit: int | None = None) -> Prompts:
    """The first `limit` prompts of a file (or of a dataset, as `hf:ORG/NAME`) that have any text.

    An object has a prompt under `instruction` (with `input`), `prompt`, `turns` (several user turns) or `messages` (a
    dialogue that ends with a user turn, or with the reference), and may have an id, `reference` (or `reference_turns`,
    or `output`), `category` and `temperature`. Raises `UsageError` with file and line for anything else, and for
    an id that comes twice.
    """
    rows: list[Prompt] = []
    seen: dict[str, str] = {}
    num_empty = 0
    for position, (where, raw) in enumerate(placed(source)):
        try:
            row = _prompt(raw, f"{name}-{position}", temperatures)
        except (ValueError, TypeError) as problem:
            raise UsageError(f"{source}, {where}: {problem}") from None
        before = seen.setdefault(row["id"], where)
        if before != where:
            raise UsageError(f"{source}, {where}: the id '{row['id']}' was in {before} already")
        if all(not turn["content"].strip() for turn in row["messages"] if turn["role"] == "user"):
            num_empty += 1
        else:
            rows.append({**row, "_position": position})
    if not rows:
        raise UsageError(f"{source} has no prompt")
    return Prompts(rows=tuple(itertools.islice(rows, limit)), num_in_all=len(rows), num_empty=num_empty)


def placed(source: str) -> Iterator[Placed]:
    """The objects of a file or of a dataset on the hub, with where they stand."""
    on_hub = hub_dataset(source)
    return rows_on_hub(on_hub) if on_hub else rows_in_file(Path(source).expanduser())


def _prompt(raw: Mapping[str, Any], usual_id: str, temperatures: Mapping[str, float]) -> Prompt:
    key = next((each for each in _PROMPTS if raw.get(each)), None)
    if key is None:
        known = next((each for each in _PROMPTS if each in raw), None)
        if known is None:
            raise ValueError(f"no prompt among the keys {', '.join(map(str, raw))}: expected {' or '.join(_PROMPTS)}")
        key = known
    turns = raw.get("turns") or raw[key]
    messages, num_open = _dialogue(raw, turns) if has_roles(turns) else as_asked(raw, turns)
    found_id = next((raw[each] for each in _IDS if raw.get(each) is not None), usual_id)
    category = raw.get("category")
    temperature = raw.get("temperature", temperatures.get(str(category), 0.0))
    if not isinstance(temperature, int | float) or temperature < 0:
        raise ValueError(f"temperature {temperature!r} is not a number of 0 or more")
    row = {**raw, "id": str(found_id), "messages": messages}
    row |= {"_open_turns": num_open} if num_open > 1 else {}
    return row | ({"_temperature": float(temperature)} if temperature else {})


def as_asked(raw: Mapping[str, Any], turns: object) -> tuple[list[dict[str, str]], int]:
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


def has_roles(turns: object) -> bool:
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
        by_name[("text", _key(_first_asked(prompt)))] = prompt
    found: dict[str, tuple[str, ...]] = {}
    models: set[str] = set()
    for where, raw in placed(source):
        named = str(raw.get("model") or raw.get("model_id") or raw.get("generator") or "")
        if model is not None and named != model:
            models.add(named)
            continue
        models.add(named)
        prompt_ = next((by_name[name] for name in _names_of(raw) if name in by_name), None)
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


def _names_of(raw: Mapping[str, Any]) -> Iterator[object]:
    for key in _IDS:
        if raw.get(key) is not None:
            yield ("id", str(raw[key]))
    if isinstance(raw.get("i"), int):
        yield ("i", raw["i"])
    if isinstance(raw.get("instruction"), str):
        yield ("text", _key(raw["instruction"]))


def _first_asked(prompt: Mapping[str, Any]) -> str:
    return next((str(turn["content"]) for turn in prompt["messages"] if turn["role"] == "user"), "")


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _answer(raw: Mapping[str, Any], num_turns: int, where: str) -> tuple[str, ...]:
    turns = answer_texts(raw, where)
    if len(turns) != num_turns:
        raise UsageError(f"{where}: {len(turns)} answers to a prompt of {num_turns} turns")
    return turns
