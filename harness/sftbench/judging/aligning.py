"""Bring two files of answers together, item by item, by id or, where one has no ids, by instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sftbench.errors import UsageError
from sftbench.judging.answer_files import Answer, AnswerFile
from sftbench.pools.forms import compact
from sftbench.pools.prompts import PromptLine
from sftbench.rooms import Message, Responses, Row


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Rows to be judged, and the answers that there are to them; `num_missing` by model."""

    rows: tuple[Row, ...]
    model: Responses
    baseline: Responses
    num_missing: tuple[int, int]


def align(model: AnswerFile, baseline: AnswerFile, prompts: Sequence[PromptLine] | None) -> Aligned:
    """Items in the order of the prompts, or of the model's file with what only the baseline's has behind it.

    Raises `UsageError` naming the line for an item twice in a file, an answer to none of the prompts, an instruction
    that is another in the other file, and an item without any instruction.
    """
    by_id = model.has_ids and baseline.has_ids and all(each.id is not None for each in prompts or ())
    mine, theirs = (_by_item(each.answers, by_id=by_id) for each in (model, baseline))
    asked = _by_item(prompts, by_id=by_id) if prompts is not None else None
    for answers in (mine, theirs) if asked is not None else ():
        strange = next((answer for item, answer in answers.items() if item not in asked), None)  # type: ignore[operator]
        if strange is not None:
            raise UsageError(f"{strange.where}: its {'id' if by_id else 'instruction'} is in none of the prompts")
    items = list(asked) if asked is not None else list(dict.fromkeys([*mine, *theirs]))
    rows = tuple(_row(at, item, (mine, theirs), asked, by_id=by_id) for at, item in enumerate(items))
    ids = {item: row.id for item, row in zip(items, rows, strict=True)}
    if not set(mine) & set(theirs):
        raise UsageError(
            f"{model.path} and {baseline.path} have no item in common; they were compared by "
            f"{'id' if by_id else 'instruction'}"
        )
    return Aligned(
        rows=rows,
        model=_responses(mine, ids),
        baseline=_responses(theirs, ids),
        num_missing=(len(items) - len(mine), len(items) - len(theirs)),
    )


def _by_item(lines: Sequence[Any], *, by_id: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines:
        item = line.id if by_id else line.instruction
        if item is None:
            raise UsageError(f"{line.where}: no instruction, and not every line of the other file has an id")
        if item in found:
            what = f"id '{item}'" if by_id else f"instruction '{item[:60]}'"
            raise UsageError(f"{line.where}: the {what} was there before, in {found[item].where.rpartition(', ')[2]}")
        found[item] = line
    return found


def _row(
    at: int, item: str, found: Sequence[dict[str, Answer]], asked: dict[str, PromptLine] | None, *, by_id: bool
) -> Row:
    """An item as a pool has it: by its prompt, or by what the answers say of it."""
    lines = [answers[item] for answers in found if item in answers]
    if asked is not None:
        num_answered = max((len(line.texts) for line in lines), default=1)
        return _of_prompt(asked[item], asked[item].id or f"row-{at:07d}", num_answered)
    told = [line.instruction for line in lines if line.instruction is not None]
    if not told:
        raise UsageError(f"{lines[0].where}: no instruction for the id '{item}'; give the prompts with --prompts")
    if told[0].strip() != told[-1].strip():
        raise UsageError(f"{lines[1].where}: another instruction than in {lines[0].where} for the id '{item}'")
    known = next((line.id for line in lines if line.id is not None), None)
    messages = (Message(role="user", content=told[0]), Message(role="assistant", content=""))
    return Row(id=item if by_id else known or f"row-{at:07d}", messages=messages, raw=compact({}))


def _of_prompt(prompt: PromptLine, row_id: str, num_answered: int) -> Row:
    """A row as a suite of prompts has it; of several open turns, those that nobody answered are left out."""
    messages = tuple(Message(role=each["role"], content=each["content"]) for each in prompt.row["messages"])
    if prompt.num_turns == 1:
        return Row(id=row_id, messages=messages, raw=compact(prompt.raw))
    num_open = min(prompt.num_turns, num_answered)
    return Row(id=row_id, messages=messages[: 2 * num_open], raw=compact({**prompt.raw, "_open_turns": num_open}))


def _responses(answers: dict[str, Answer], ids: dict[str, str]) -> Responses:
    return Responses(
        ids=tuple(ids[item] for item in answers),
        texts=tuple(answer.texts[-1] for answer in answers.values()),
        earlier={ids[item]: answer.texts[:-1] for item, answer in answers.items() if len(answer.texts) > 1},
    )
