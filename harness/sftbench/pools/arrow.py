"""Rows written to an Arrow file as they come, and opened memory-mapped, so that a million rows cost no memory."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sftbench.errors import UsageError
from sftbench.rooms import Pool, Row

_TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("messages", pa.list_(_TURN)),
        ("raw", pa.string()),
        ("planted", pa.string()),
        ("planted_spans", pa.list_(pa.list_(pa.int32()))),
    ]
)
_ROWS_PER_BATCH = 1000


def pool_of(rows: Iterable[Row], *, into: Path, key: str, form: str, source: str = "the pool") -> Pool:
    """A pool made of rows, streamed into the Arrow file `into` (it appears whole or not at all).

    Raises `UsageError`, naming `source`, when there are no rows or when two share an id (up to five are named).
    """
    import datasets

    with replaced(into) as partial:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
            for batch in _batched(rows):
                writer.write_batch(_record_batch(batch))
        _check_ids(partial, source)
    return Pool(dataset=datasets.Dataset.from_file(str(into)), key=key, form=form)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _batched(rows: Iterable[Row]) -> Iterator[tuple[Row, ...]]:
    waiting = iter(rows)
    while batch := tuple(itertools.islice(waiting, _ROWS_PER_BATCH)):
        yield batch


def _record_batch(rows: Sequence[Row]) -> Any:
    turns = [message for row in rows for message in row.messages]
    ends = np.cumsum([0, *(len(row.messages) for row in rows)], dtype=np.int32)
    columns = [_texts([turn.role for turn in turns]), _texts([turn.content for turn in turns])]
    arrays = [
        _texts([row.id for row in rows]),
        pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(columns, fields=list(_TURN))),
        _texts([row.raw for row in rows], errors="backslashreplace"),
        pa.array([row.planted for row in rows], pa.string()),
        pa.array([row.planted_spans for row in rows], _SCHEMA.field("planted_spans").type),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _texts(values: list[str], errors: str = "replace") -> Any:
    """JSON may hold half a surrogate pair, which UTF-8 cannot: it is replaced, and in `raw` escaped as JSON has it."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([value.encode("utf-8", errors).decode("utf-8") for value in values], pa.string())


def _check_ids(path: Path, source: str) -> None:
    with pa.memory_map(str(path)) as file:
        ids = pa.ipc.open_stream(file).read_all().column("id")
        if len(ids) == 0:
            raise UsageError(f"{source} is empty: there is no row to choose from")
        if pc.count_distinct(ids).as_py() == len(ids):
            return
        counts = ids.value_counts()
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
        raise UsageError(
            f"{source}: ids must be unique; given more than once: {', '.join(twice[:5].to_pylist())}{more}"
        )
