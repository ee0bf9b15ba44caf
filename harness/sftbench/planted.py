"""Planted defects in pools and selections: making them, and counting which were let in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench.errors import ContractError
from sftbench.fingerprint import key_of
from sftbench.rooms import Json, Message, Pool, Row, Selection

if TYPE_CHECKING:
    from sftbench.desk import WorkingDesk
    from sftbench.engines.encode import Encoded

PLANT_SEED = 20260


def planted_tokens(row: Row, encoded: Encoded) -> npt.NDArray[np.bool_]:
    """Which response tokens [m] of a row touch a planted span."""
    touched = np.zeros(len(encoded.spans), dtype=np.bool_)
    for start, end in row.planted_spans:
        touched |= (encoded.spans[:, 0] < end) & (encoded.spans[:, 1] > start) & (encoded.spans[:, 0] >= 0)
    return touched


def count_planted(selection: Selection, pool: Pool, desk: WorkingDesk) -> dict[str, Json]:
    """What a selection trains on, and how much of it was planted. Masked tokens are not let in."""
    rows = pool.take([pool.index_of[row_id] for row_id in selection.ids])
    num_tokens = num_trained = num_planted_tokens = 0
    for position, (row, encoded) in enumerate(zip(rows, desk.training_encoding(rows), strict=True)):
        count = int(encoded.response.sum())
        trained = np.ones(count, dtype=np.bool_)
        if selection.token_labels is not None:
            labels = selection.token_labels[position]
            if len(labels) != count:
                raise ContractError(f"row '{row.id}' has {count} response tokens and {len(labels)} token labels")
            trained = labels > 0
        num_tokens += count
        num_trained += int(trained.sum())
        num_planted_tokens += int((planted_tokens(row, encoded) & trained).sum())
    return {
        "num_rows": len(rows),
        "ids_hash": key_of(list(selection.ids)),
        "num_response_tokens": num_tokens,
        "num_trained_tokens": num_trained,
        "num_planted_rows": sum(row.planted is not None for row in rows),
        "num_planted_tokens": num_planted_tokens,
    }


def planted_rows(pool: Pool, *, share: float, accepts: Callable[[str, str], bool] | None = None) -> Iterator[Row]:
    """The rows of a pool, a share of them with a defect, in order and streaming.

    With `accepts(row_id, response)`, a planted wrong answer is one that it does not accept.
    """
    from sftbench.plant import PlantableRow, plant_stream

    def row_at(index: int) -> PlantableRow:
        row = pool[index]
        return {"id": row.id, "messages": [{"role": m.role, "content": m.content} for m in row.messages]}

    def accepted(row: PlantableRow, response: str) -> bool:
        return accepts is not None and accepts(row["id"], response)

    planted = plant_stream(row_at, len(pool), share=share, seed=PLANT_SEED, accepts=accepted if accepts else None)
    for row, changed in zip(pool, planted, strict=True):
        if not changed["planted_kind"]:
            yield row
            continue
        messages = tuple(Message(role=m["role"], content=m["content"]) for m in changed["messages"])
        yield Row(
            id=row.id,
            messages=messages,
            raw=_raw(row, messages),
            planted=changed["planted_kind"],
            planted_spans=tuple(changed["planted_spans"]),
        )


def _raw(row: Row, messages: tuple[Message, ...]) -> str:
    """The row in the form it came in, with the planted text: methods that read its own fields must see the defect."""
    original = row.original()
    if "instruction" in original and len(messages) == 2:
        fresh = {"instruction": messages[0].content, "input": "", "output": messages[1].content}
        if messages[0] == row.messages[0]:
            fresh = {"output": messages[1].content}
        return json.dumps({**original, **fresh}, ensure_ascii=False)
    if "conversations" in original:
        names = {"user": "human", "assistant": "gpt"}
        turns = [{"from": names.get(m.role, m.role), "value": m.content} for m in messages]
        return json.dumps({**original, "conversations": turns}, ensure_ascii=False)
    turns = [{"role": m.role, "content": m.content} for m in messages]
    return json.dumps({**original, "messages": turns}, ensure_ascii=False)
