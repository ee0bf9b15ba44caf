"""Evaluation items out of pool files and benchmark files in their many shapes, to be compared with the rows of a pool.

An item becomes a row: what is asked are its user turns, what may be answered its assistant turn.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sftbench.errors import UsageError
from sftbench.fingerprint import hash_file, key_of
from sftbench.pools.arrow import pool_of
from sftbench.pools.files import SUFFIXES, Placed, check_readable, rows_in_file
from sftbench.pools.forms import compact, form_of, row_of
from sftbench.pools.hub import hub_dataset
from sftbench.pools.read import pool_key, read_pool
from sftbench.rooms import Message, Pool, Row

_READER = "1"
"""Bumped when the same file would give other items."""
_TABLES: Final = (".csv", ".csv.gz")
_CONTEXT: Final = ("passage", "context", "document", "article")
_ASKED: Final = ("question", "query", "prompt", "instruction", "question_text", "problem", "input", "ctx", "text")
_OPTIONS: Final = ("choices", "options", "endings")
_ANSWERED: Final = (
    "answer", "best answer", "output", "response", "reference", "canonical_solution", "solution", "target",
    "completion",
)  # fmt: skip
_RIGHT: Final = ("gold", "label", "answer", "answerKey")
_NAMED: Final = ("id", "_id", "task_id", "question_id", "example_id", "key", "ind")
_FIRST_CHARACTERS = 1 << 16


def items_key(source: str | Path) -> str:
    """SHA-256 over the bytes of a file of items and the version of the reader."""
    if hub_dataset(source):
        return key_of({"pool": pool_key(source), "items": _READER})
    path = Path(source).expanduser()
    _check(path)
    return key_of({"content": hash_file(path), "items": _READER})


def read_items(source: str | Path, *, into: Path) -> Pool:
    """The items of a pool file, a hub dataset or a benchmark file, streamed into the Arrow file `into`.

    Besides the three forms of a pool, a benchmark may have: what is asked as `question`, `query`, `prompt`,
    `instruction`, `question_text` or `problem`, or several `turns`; a `passage` or `context` before it; `choices` or
    `options`; and an answer. Where files give the same id twice, or none, ids are made of the position. Raises
    `UsageError` that names the file, the line and the keys for a row without anything that is asked.
    """
    key = items_key(source)
    if hub_dataset(source):
        return replace(read_pool(source, into=into), key=key)
    path = Path(source).expanduser()
    return pool_of(_distinct(path), into=into, key=key, form="mixed", source=str(path))


def _check(path: Path) -> None:
    """Raise `UsageError` for what is no file of items."""
    if path.name.endswith(".zip"):
        raise UsageError(f"{path} is an archive; unpack it and name one file of it")
    if path.is_file() and path.name.endswith(_TABLES):
        return
    if path.is_file() and not path.name.endswith(SUFFIXES):
        raise UsageError(f"cannot read {path}: items are in a {', '.join((*SUFFIXES, *_TABLES))} file")
    check_readable(path)


def _distinct(path: Path) -> Iterator[Row]:
    """Rows with ids that are unique: the file's own while they are."""
    seen: set[str] = set()
    for position, (where, raw) in enumerate(_placed(path)):
        try:
            row = item_of(raw, position)
        except (ValueError, TypeError) as problem:
            raise UsageError(f"{path}, {where}: {problem}") from None
        if row.id in seen:
            row = Row(id=f"{row.id}@{position}", messages=row.messages, raw=row.raw)
        seen.add(row.id)
        yield row


def _placed(path: Path) -> Iterator[Placed]:
    if path.name.endswith(_TABLES):
        return _table(path)
    whole = _one_object(path) if ".json" in path.suffixes[-2:] else None
    if whole is None:
        return rows_in_file(path)
    for name in ("examples", "data", "items", "questions"):
        if isinstance(whole.get(name), list):
            return ((f"{name} {number}", each) for number, each in enumerate(whole[name], start=1))
    return iter([("the file", whole)])


def _one_object(path: Path) -> dict[str, Any] | None:
    """The JSON object that is all of a file (of examples, as in BIG-Bench Hard); None for an array, or lines."""
    with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as stream:
        start = stream.read(_FIRST_CHARACTERS)
        if not start.lstrip().startswith(b"{"):
            return None
        try:
            found = json.loads(start + stream.read())
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def _table(path: Path) -> Iterator[Placed]:
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            for number, row in enumerate(csv.DictReader(text), start=1):
                yield f"row {number}", {str(name): value for name, value in row.items()}
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"{path} is not a table that can be read ({problem})") from None


def item_of(raw: Mapping[str, Any], position: int) -> Row:
    """A row of a pool, or an item of a benchmark, as a row. Raises `ValueError` that tells the keys it has."""
    if not isinstance(raw, Mapping):
        raise ValueError(f"a {type(raw).__name__} where an item (a JSON object) is expected")
    if (form := form_of(raw)) is not None:
        return row_of(raw, form, position)
    named = {str(name).strip().lower(): value for name, value in raw.items()}
    asked = [*_first(named, _CONTEXT)[:1], *_asked(named)]
    if not asked:
        raise ValueError(
            f"the item has the keys {', '.join(map(str, raw)) or '(none)'}; what is asked is expected as "
            f"{', '.join(_ASKED[:6])} or turns, or a row of a pool"
        )
    messages = [*(Message(role="user", content=text) for text in asked), _answer(named)]
    return Row(id=_id(raw, position), messages=tuple(messages), raw=compact(raw))


def _asked(named: Mapping[str, Any]) -> list[str]:
    turns = named.get("turns")
    if isinstance(turns, list) and turns and all(isinstance(each, str) for each in turns):
        return list(turns)
    asked = _first(named, _ASKED)
    more = named.get("input")
    return [f"{asked[0]}\n{more}"] if asked and isinstance(more, str) and more and more != asked[0] else asked


def _first(named: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """The first of these keys that has text, as a list of one, or of none."""
    found = (named.get(name.lower()) for name in names)
    return next(([each] for each in found if isinstance(each, str) and each.strip()), [])


def _answer(named: Mapping[str, Any]) -> Message:
    """The choices, and the answer unless it is one of them."""
    options = _options(named)
    right = [str(named[name.lower()]) for name in _RIGHT if isinstance(named.get(name.lower()), (str, int))]
    answers = _first(named, _ANSWERED)
    only_points = bool(options) and bool(answers) and (answers[0] in options or len(answers[0]) <= 2)
    texts = options + ([] if only_points else answers)
    return Message(role="assistant", content="\n".join(texts or right[:1]))


def _options(named: Mapping[str, Any]) -> list[str]:
    for name in _OPTIONS:
        found = named.get(name)
        found = found.get("text") if isinstance(found, Mapping) else found
        if isinstance(found, list):
            return [str(each.get("text", "") if isinstance(each, Mapping) else each) for each in found]
    return []


def _id(raw: Mapping[str, Any], position: int) -> str:
    named = (raw.get(name) for name in _NAMED)
    found = next((str(each) for each in named if isinstance(each, (str, int)) and str(each)), None)
    return found or f"item-{position:06d}"
