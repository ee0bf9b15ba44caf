"""Rows of a file, whatever it is packed in: JSON lines, a JSON list, CSV, Parquet, a zip of JSON files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sftbench import UsageError

Doc = dict[str, Any]
ENDINGS = (".jsonl.gz", ".jsonl", ".json.gz", ".json", ".csv.gz", ".csv", ".parquet", ".zip")


def find(folder: Path, names: Sequence[str]) -> Path | None:
    """The first file of the folder that has one of the names, with any of the endings that can be read."""
    for name in names:
        for ending in ENDINGS:
            path = folder / (name + ending)
            if path.is_file():
                return path
    return None


def read_rows(path: Path) -> list[Doc]:
    """The rows of a file. Raises `UsageError` that names the file, and the line where it is one of JSON."""
    try:
        rows = list(_rows(path))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, csv.Error) as problem:
        raise UsageError(f"cannot read the task data {path}: {problem}") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"the task data {path} must hold rows with named fields; found {len(rows)} rows")
    return rows


def _rows(path: Path) -> Iterator[Doc]:
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "zip":
        yield from _zipped(path)
    elif kind == "parquet":
        import pyarrow.parquet

        yield from pyarrow.parquet.read_table(path).to_pylist()
    elif kind == "csv":
        yield from csv.DictReader(io.StringIO(_text(path)))
    elif kind == "jsonl":
        for number, line in enumerate(_text(path).split("\n"), start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as problem:
                    raise ValueError(f"line {number}: {problem}") from None
    else:
        loaded = json.loads(_text(path))
        yield from loaded if isinstance(loaded, list) else [loaded]


def _text(path: Path) -> str:
    packed = path.read_bytes()
    return (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8-sig")


def _zipped(path: Path) -> Iterator[Doc]:
    """One row per JSON file in a zip: what is in it, and `file`, its name without folder and ending."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".json"):
                yield {"file": Path(name).stem, **json.loads(archive.read(name))}
