"""Rows as plain dictionaries from files: JSON lines, JSON arrays (both gzipped or not) and Parquet, streamed."""

from __future__ import annotations

import difflib
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from sftbench.errors import UsageError
from sftbench.pools.json_array import BrokenArrayError, elements, why

SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_BUFFER_BYTES: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
Placed = tuple[str, Mapping[str, Any]]
"""Where a row stands in its source (`line 3`), and the row."""


def rows_in_file(path: Path) -> Iterator[Placed]:
    """The rows of a file in order. Raises `UsageError` naming the file, and the line where there is one."""
    check_readable(path)
    if path.name.endswith(".parquet"):
        yield from _parquet(path)
        return
    with _explained(path), _opened(path) as stream:
        if stream.peek(64)[:64].removeprefix(_BOM).lstrip()[:1] == b"[":
            with io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
                for line, row in elements(text):
                    yield f"line {line}", _an_object(row, path, line)
        else:
            yield from _lines(path, stream)


def check_readable(path: Path) -> None:
    """Raise `UsageError` with the way out unless this is a file of a known kind."""
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.name.endswith(SUFFIXES))
        raise UsageError(
            f"{path} is a folder; name one file of it ({', '.join(inside[:5]) or 'it holds no pool file'})"
        )
    if not path.exists():
        raise UsageError(f"there is no file {path}{_nearest(path)}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path} must not be read by this user; change its permissions")
    if not path.name.endswith(SUFFIXES):
        raise UsageError(f"cannot read {path}: a pool is a {', '.join(SUFFIXES)} file")


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    names = [each.name for each in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""


def _opened(path: Path) -> io.BufferedReader:
    if path.name.endswith(".gz"):
        return io.BufferedReader(gzip.open(path, "rb"), _BUFFER_BYTES)
    return io.BufferedReader(path.open("rb", buffering=0), _BUFFER_BYTES)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise UsageError(f"{path} is not a whole gzip file ({problem})") from None
    except BrokenArrayError as problem:
        raise UsageError(f"{path}, line {problem.line}: not valid JSON ({problem})") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is not UTF-8 text ({problem.reason}); save it as UTF-8") from None


def _lines(path: Path, stream: IO[bytes]) -> Iterator[Placed]:
    for number, line in enumerate(stream, start=1):
        line = line.removeprefix(_BOM) if number == 1 else line
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as problem:
            raise UsageError(
                f"{path}, line {number}: not UTF-8 text ({problem.reason}); save the file as UTF-8"
            ) from None
        except (ValueError, RecursionError) as problem:
            raise UsageError(
                f"{path}, line {number}: not valid JSON ({why(problem)}); expected one row per line"
            ) from None
        yield f"line {number}", _an_object(row, path, number)


def _an_object(row: object, path: Path, line: int) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {line}: a {type(row).__name__} where a row (a JSON object) is expected")
    return row


def _parquet(path: Path) -> Iterator[Placed]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pyarrow.ArrowException, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is not a Parquet file that can be read ({problem})") from None
