"""Files of answers, in the shapes that they are handed about in, and files of the prompts they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.pools.answers import answer_text, answer_texts
from sftbench.pools.files import rows_in_file
from sftbench.pools.prompts import has_roles

ID_KEYS = ("id", "question_id", "uid", "prompt_id")
PROMPT_KEYS = ("instruction", "prompt", "question")
NAME_KEYS = ("generator", "model", "model_id")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One line of a file: which prompt, if it says so, and the answers to its turns, the last one last."""

    where: str
    id: str | None
    instruction: str | None
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerFile:
    """All answers of one model, and its name: as the file has it, or the file's own."""

    path: Path
    model: str
    answers: tuple[Answer, ...]

    @property
    def has_ids(self) -> bool:
        """Whether every answer has an id."""
        return all(each.id is not None for each in self.answers)


def read_answers(path: Path) -> AnswerFile:
    """JSON lines or a JSON array (also gzipped), or Parquet.

    A row has an id, an instruction or both, and an answer (see `answer_texts`). Raises `UsageError` naming the line for
    a row without these.
    """
    answers: list[Answer] = []
    names: set[str] = set()
    for where, row in rows_in_file(path):
        place = f"{path}, {where}"
        texts = answer_texts(row, place)
        found = Answer(where=place, id=_id(row, place), instruction=_instruction(row, place), texts=texts)
        if found.id is None and found.instruction is None:
            raise UsageError(f"{place}: neither an id ({', '.join(ID_KEYS)}) nor an instruction")
        answers.append(found)
        names |= {str(row[key]) for key in NAME_KEYS[:1] if row.get(key)} or {
            str(row[key]) for key in NAME_KEYS[1:] if isinstance(row.get(key), str)
        }
    if not answers:
        raise UsageError(f"{path} holds no answers")
    if len(names) > 1:
        raise UsageError(f"{path} has answers of {len(names)} models, {', '.join(sorted(names)[:3])}; give one of each")
    return AnswerFile(path=path, model=names.pop() if names else path.name.split(".")[0], answers=tuple(answers))


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A row of a file of prompts: what it says of itself, and how a pool has it."""

    where: str
    id: str | None
    instruction: str
    row: Mapping[str, Any]

    @property
    def turns(self) -> Sequence[object]:
        """User turns that were to be answered one after another; none where the prompt is not listed."""
        return _listed(self.row)


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts with an id, an instruction and what else they have. Raises `UsageError` naming the line at fault."""
    found = []
    for where, row in rows_in_file(path):
        place = f"{path}, {where}"
        instruction = _instruction(row, place)
        if instruction is None:
            raise UsageError(f"{place}: no instruction; expected one of {', '.join(PROMPT_KEYS)}, turns or messages")
        found.append(Prompt(where=place, id=_id(row, place), instruction=instruction, row=row))
    if not found:
        raise UsageError(f"{path} holds no prompts")
    return found


def _id(row: Mapping[str, Any], place: str) -> str | None:
    for key in ID_KEYS:
        value = row.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            raise UsageError(f"{place}: '{key}' is a {type(value).__name__}; an id is text or a whole number")
    return None


def _instruction(row: Mapping[str, Any], place: str) -> str | None:
    for key in PROMPT_KEYS:
        if row.get(key) is not None and not (isinstance(row[key], list) and _listed(row)):
            context = answer_text(row.get("input") or "", place, "input") if key == "instruction" else ""
            text = answer_text(row[key], place, key)
            return f"{text}\n{context}" if context else text
    if turns := _listed(row):
        first = turns[0]
        return answer_text(first.get("content") if isinstance(first, Mapping) else first, place, "turns")
    said = [turn for turn in _turns(row) if turn.get("role") == "user"]
    return "\n".join(answer_text(turn.get("content"), place, "messages") for turn in said) if said else None


def _listed(row: Mapping[str, Any]) -> Sequence[object]:
    """The user turns of a prompt of several: `turns`, or `prompt` as MT-Bench has it on the hub."""
    found = row.get("turns") or row.get("prompt")
    return found if isinstance(found, list) and not has_roles(found) else ()


def _turns(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = row.get("messages")
    return [turn for turn in found if isinstance(turn, Mapping)] if isinstance(found, list) else []
