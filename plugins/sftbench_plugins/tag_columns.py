"""Tags as the scorer `tags` leaves them in its columns, read by every selector that chooses by tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sftbench import Ragged, Scores, UsageError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, kw_only=True, eq=False)
class TaggedRows:
    """Which row has which tag: `matrix`, ones [n, K], and the `names` of the K tags."""

    matrix: csr_array
    names: list[str]


def tagged_rows(scores: Scores | None, selector: str) -> TaggedRows:
    """The merged tags of every row. Raises `UsageError` for scores without tags."""
    column = None if scores is None else scores.columns.get("tags")
    if not isinstance(column, Ragged):
        raise UsageError(f"selector '{selector}' chooses by tags; a method that uses it has the scorer 'tags'")
    return _tagged(column)


def _tagged(column: Ragged) -> TaggedRows:
    import pandas
    from scipy.sparse import csr_array

    codes, names = pandas.factorize(np.asarray(column.values, dtype=object), sort=True)
    dropped = len(names) > 0 and names[0] == ""
    codes, known = (codes - 1, names[1:]) if dropped else (codes, names)
    rows = np.repeat(np.arange(len(column)), np.diff(column.offsets))[codes >= 0]
    ones = np.ones(len(rows), dtype=np.int32)
    matrix = csr_array((ones, (rows, codes[codes >= 0])), shape=(len(column), len(known)))
    matrix.data = np.ones_like(matrix.data)
    return TaggedRows(matrix=matrix, names=[str(name) for name in known])
