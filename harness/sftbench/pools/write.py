"""Selected rows given back in the form they came in, with their id, rank and score, as a file that trainers read."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sftbench.errors import UsageError
from sftbench.pools.arrow import replaced
from sftbench.pools.files import SUFFIXES
from sftbench.pools.forms import compact, form_of
from sftbench.rooms import Pool

_ROWS_AT_ONCE = 1000


def write_rows(
    pool: Pool, selection_ids: Sequence[str], scores: npt.NDArray[np.float64] | Sequence[float] | None, out: Path
) -> Path:
    """Write rows, best first, to a `.jsonl`, `.json` (both also `.gz`) or `.parquet` file; returns its path.

    Each is the row as its source had it, with `_id`, `_rank` (from 1) and `_score` (null when there is
    none). A row whose source had no messages (a generated one) gets them under `messages`. The file
    appears whole or not at all. Raises `UsageError` for another suffix or an unknown id.
    """
    if not out.name.endswith(SUFFIXES):
        raise UsageError(f"cannot write {out}: name a {', '.join(SUFFIXES)} file")
    unknown = [row_id for row_id in selection_ids if row_id not in pool.index_of]
    if unknown:
        raise UsageError(f"the pool has no row with the id {', '.join(unknown[:5])}")
    rows = _rows(pool, selection_ids, scores)
    with replaced(out) as partial:
        if out.name.endswith(".parquet"):
            _write_parquet(rows, partial, out)
        else:
            _write_json(rows, partial, array=".json" in out.suffixes[-2:], zipped=out.name.endswith(".gz"))
    return out


def _rows(
    pool: Pool, ids: Sequence[str], scores: npt.NDArray[np.float64] | Sequence[float] | None
) -> Iterator[dict[str, Any]]:
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        taken = pool.take([pool.index_of[row_id] for row_id in ids[start : start + _ROWS_AT_ONCE]])
        for rank, row in enumerate(taken, start=start):
            original = row.original()
            if form_of(original) is None:
                original["messages"] = [{"role": turn.role, "content": turn.content} for turn in row.messages]
            score = None if scores is None else float(scores[rank])
            finite = score if score is not None and np.isfinite(score) else None
            yield {**original, "_id": row.id, "_rank": rank + 1, "_score": finite}


def _write_json(rows: Iterator[dict[str, Any]], partial: Path, *, array: bool, zipped: bool) -> None:
    before, between, after = ("[\n", ",\n", "\n]\n") if array else ("", "\n", "\n")
    # No time stamp and no name in the gzip header: the same rows give the same bytes.
    with partial.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) if zipped else file as stream:
        stream.write(before.encode())
        for number, row in enumerate(rows):
            stream.write(((between if number else "") + compact(row)).encode("utf-8", "backslashreplace"))
        stream.write(after.encode())


def _write_parquet(rows: Iterator[dict[str, Any]], partial: Path, out: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    held = list(rows)
    names = dict.fromkeys(name for row in held for name in row)
    columns: Mapping[str, list[Any]] = {name: [row.get(name) for row in held] for name in names}
    try:
        pyarrow.parquet.write_table(pyarrow.table(columns), partial)
    except (pyarrow.ArrowException, UnicodeEncodeError) as problem:
        raise UsageError(f"Parquet cannot hold these rows ({problem}); write to a .jsonl file") from None
