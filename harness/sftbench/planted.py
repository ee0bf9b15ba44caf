"""Planted defects in pools and selections: making them, and counting which were let in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftbench.errors import ContractError, UsageError
from sftbench.fingerprint import key_of
from sftbench.rooms import Json, Message, Pool, Ragged, Row, Selection

if TYPE_CHECKING:
    from sftbench.desk import WorkingDesk
    from sftbench.engines.encode import Encoded

PLANT_SEED = 20260
_ROWS_AT_ONCE = 4096


def planted_tokens(row: Row, encoded: Encoded) -> npt.NDArray[np.bool_]:
    """Which response tokens [m] of a row touch a planted span."""
    touched = np.zeros(len(encoded.spans), dtype=np.bool_)
    for start, end in row.planted_spans:
        touched |= (encoded.spans[:, 0] < end) & (encoded.spans[:, 1] > start) & (encoded.spans[:, 0] >= 0)
    return touched


def count_planted(
    selection: Selection, pool: Pool, lengths: Mapping[str, npt.NDArray[Any]], desk: WorkingDesk
) -> dict[str, Json]:
    """What a selection trains on, and how much of it was planted. Masked tokens are not let in."""
    chosen = np.array([pool.index_of[row_id] for row_id in selection.ids], dtype=np.int64)
    num_tokens = num_trained = int(lengths["training_tokens"][chosen].sum())
    num_planted_tokens = int(lengths["planted_tokens"][chosen].sum())
    if selection.token_labels is not None:
        num_trained = int((selection.token_labels.values > 0).sum())
        num_planted_tokens = _planted_and_trained(selection.token_labels, pool, chosen, desk)
    return {
        "num_rows": len(chosen),
        "ids_hash": key_of(list(selection.ids)),
        "num_response_tokens": num_tokens,
        "num_trained_tokens": num_trained,
        "num_planted_rows": int(lengths["planted"][chosen].sum()),
        "num_planted_tokens": num_planted_tokens,
    }


def _planted_and_trained(labels: Ragged, pool: Pool, chosen: npt.NDArray[np.int64], desk: WorkingDesk) -> int:
    """Planted tokens that are not masked. Raises `ContractError` for labels that do not fit the response."""
    count = position = 0
    for start in range(0, len(chosen), _ROWS_AT_ONCE):
        rows = pool.take(chosen[start : start + _ROWS_AT_ONCE].tolist())
        for row, encoded in zip(rows, desk.training_encoding(rows), strict=True):
            wanted, given = int(encoded.response.sum()), labels[position]
            if len(given) != wanted:
                raise ContractError(f"row '{row.id}' has {wanted} response tokens and {len(given)} token labels")
            count += int((planted_tokens(row, encoded) & (given > 0)).sum())
            position += 1
    return count


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

    try:
        planted = plant_stream(row_at, len(pool), share=share, seed=PLANT_SEED, accepts=accepted if accepts else None)
    except ValueError as problem:
        raise UsageError(f"cannot plant defects in {share:.0%} of the pool: {problem}") from None
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
    from sftbench.pools import form_of

    original = row.original()
    form = form_of(original, known=("alpaca",))
    if form == "alpaca":
        prompt, response = messages[-2:]
        fresh = {"output": response.content}
        if prompt != row.messages[-2]:
            fresh |= {"instruction": prompt.content, "input": ""}
        return json.dumps({**original, **fresh}, ensure_ascii=False)
    if form == "sharegpt":
        names = {"user": "human", "assistant": "gpt"}
        turns = [{"from": names.get(m.role, m.role), "value": m.content} for m in messages]
        return json.dumps({**original, "conversations": turns}, ensure_ascii=False)
    turns = [{"role": m.role, "content": m.content} for m in messages]
    return json.dumps({**original, "messages": turns}, ensure_ascii=False)
