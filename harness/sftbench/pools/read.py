"""Pools from files, hub datasets and plain dictionaries, and what identifies their content."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.fingerprint import hash_file, key_of
from sftbench.pools.arrow import pool_of
from sftbench.pools.files import Placed, check_readable, rows_in_file
from sftbench.pools.forms import form_of, row_of
from sftbench.pools.hub import hub_dataset, hub_key, rows_on_hub
from sftbench.rooms import Pool, Row

_READER = "1"
"""Bumped when the same source would give other rows."""


def read_pool(source: str | Path, *, limit: int | None = None, into: Path) -> Pool:
    """The first `limit` rows (all if None) of a file or hub dataset, streamed into the Arrow file `into`.

    Raises `UsageError` naming the file and line of what cannot be read, and `EnvironmentProblem` when
    a hub dataset cannot be reached.
    """
    key = pool_key(source, limit=limit)
    on_hub = hub_dataset(source)
    placed = rows_on_hub(on_hub) if on_hub else rows_in_file(Path(source).expanduser())
    return _pool(itertools.islice(placed, limit), str(source), into=into, key=key)


def pool_key(source: str | Path, *, limit: int | None = None) -> str:
    """SHA-256 over the bytes of the source, the limit and the version of the reader."""
    if limit is not None and limit < 1:
        raise UsageError(f"the limit of a pool is a number of rows, at least 1; given: {limit}")
    on_hub = hub_dataset(source)
    if on_hub:
        content = hub_key(on_hub)
    else:
        path = Path(source).expanduser()
        check_readable(path)
        content = hash_file(path)
    return key_of({"content": content, "limit": limit, "reader": _READER})


def pool_from_rows(rows: Iterable[Mapping[str, Any]], *, into: Path, key: str, form: str | None = None) -> Pool:
    """A pool from dictionaries in any of the three forms; the form is recognised unless given."""
    placed = ((f"row {number}", row) for number, row in enumerate(rows, start=1))
    pool = _pool(placed, "the rows", into=into, key=key)
    return pool if form is None else replace(pool, form=form)


def _pool(placed: Iterable[Placed], source: str, *, into: Path, key: str) -> Pool:
    forms: set[str] = set()
    pool = pool_of(_rows(placed, source, forms), into=into, key=key, form="", source=source)
    return replace(pool, form=forms.pop() if len(forms) == 1 else "mixed")


def _rows(placed: Iterable[Placed], source: str, forms: set[str]) -> Iterator[Row]:
    """Notes the forms that it meets in `forms`."""
    for position, (where, raw) in enumerate(placed):
        form = form_of(raw, known=forms)
        try:
            row = row_of(raw, form, position)
        except (ValueError, TypeError) as problem:
            raise UsageError(f"{source}, {where}: {problem}") from None
        forms.add(str(form))
        yield row
