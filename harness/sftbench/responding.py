"""Answers to held-out rows: written by a model, turn after turn, or read from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sftbench.plan import Step
from sftbench.pools.answered import read_answers
from sftbench.rooms import Message, Responses, Row

if TYPE_CHECKING:
    from sftbench.engines.forward import LanguageModel
    from sftbench.engines.generate import Continuation


def respond(
    model: LanguageModel,
    rows: Sequence[Row],
    *,
    max_new_tokens: int,
    advance: Callable[[int], None] | None = None,
) -> Responses:
    """What a model answers that this process has loaded; see `respond_by`."""
    from sftbench.engines.generate import answer_rows

    return respond_by(partial(answer_rows, model), rows, max_new_tokens=max_new_tokens, advance=advance)


class Writer(Protocol):
    """Writes an answer to each row, as `sftbench.engines.generate.answer_rows` does with a model."""

    def __call__(
        self,
        rows: Sequence[Row],
        *,
        max_new_tokens: int,
        temperature: float,
        seeds: Sequence[int],
        advance: Callable[[int], None] | None,
    ) -> Sequence[Continuation]: ...


def respond_by(
    write: Writer,
    rows: Sequence[Row],
    *,
    max_new_tokens: int,
    advance: Callable[[int], None] | None = None,
) -> Responses:
    """What is written to rows. Where a row has several open turns, each is answered in the dialogue so far.

    At the temperature of the row (`_temperature`, 0 unless it says), drawn with a seed of the row's id and the turn.
    """
    written: dict[str, list[str]] = {row.id: [] for row in rows}
    for turn in range(max((row.num_open_turns for row in rows), default=0)):
        going = [row for row in rows if turn < row.num_open_turns]
        shown = [up_to_turn(row, written[row.id]) for row in going]
        for row_id, text in _answered(write, shown, turn, max_new_tokens=max_new_tokens, advance=advance).items():
            written[row_id].append(text)
    return _responses(rows, written)


def up_to_turn(row: Row, written: Sequence[str]) -> Row:
    """The row with the answers already `written` to its open turns, and the next open turn as its last."""
    places = [at for at, message in enumerate(row.messages) if message.role == "assistant"][-row.num_open_turns :]
    messages = list(row.messages[: places[len(written)] + 1])
    for place, text in zip(places, written, strict=False):
        messages[place] = Message(role="assistant", content=text)
    return replace(row, messages=tuple(messages))


def _answered(
    write: Writer,
    rows: Sequence[Row],
    turn: int,
    *,
    max_new_tokens: int,
    advance: Callable[[int], None] | None,
) -> dict[str, str]:
    """By id; the rows of one temperature together."""
    by_warmth: dict[float, list[Row]] = {}
    for row in rows:
        by_warmth.setdefault(float(row.original().get("_temperature", 0.0)), []).append(row)
    found: dict[str, str] = {}
    for temperature, alike in by_warmth.items():
        answers = write(
            alike, max_new_tokens=max_new_tokens, temperature=temperature,
            seeds=[seed_of(row.id, turn) for row in alike] if temperature else (), advance=advance,
        )  # fmt: skip
        found |= {row.id: answer.text for row, answer in zip(alike, answers, strict=True)}
    return found


def seed_of(row_id: str, turn: int) -> int:
    """31 bits of a hash: the same draw for a row whatever stands beside it."""
    return int.from_bytes(hashlib.sha256(json.dumps([row_id, turn]).encode()).digest()[:4], "big") >> 1


def answers_given(step: Step, rows: Sequence[Row]) -> Responses:
    """The answers of the file that a step names, or the references of the rows."""
    if "source" not in step.where:
        return _responses(rows, {row.id: _references(row) for row in rows})
    asked: Iterable[Mapping[str, object]] = (
        {
            **row.original(),
            "id": row.id,
            "messages": [{"role": message.role, "content": message.content} for message in row.messages],
        }
        for row in rows
    )
    return _responses(rows, read_answers(step.where["source"], step.where["model"] or None, asked))


def _references(row: Row) -> list[str]:
    return [message.content for message in row.messages if message.role == "assistant"][-row.num_open_turns :]


def _responses(rows: Sequence[Row], written: Mapping[str, Sequence[str]]) -> Responses:
    return Responses(
        ids=tuple(row.id for row in rows),
        texts=tuple(written[row.id][-1] for row in rows),
        earlier={row.id: tuple(written[row.id][:-1]) for row in rows if row.num_open_turns > 1},
    )
