"""The rows that lie close to items as embeddings, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
MOST_ROWS = 1000
"""Rows that are kept of each item, the closest: a threshold that lets more through tells nothing."""
BLOCK = 4096
_ITEMS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class Close:
    """Pairs whose cosine is at least the threshold: `items`, `rows`, `cosines` [P], by item and row; and for each item
    the nearest row, the first where several are equally near, and its cosine [I]."""

    items: Ints
    rows: Ints
    cosines: Floats
    nearest: Ints
    nearest_cosines: Floats


def close_rows(items: Floats, blocks: Iterable[Floats], *, threshold: float, most_rows: int = MOST_ROWS) -> Close:
    """Compare unit vectors of items [I, d] with those of a pool, given in blocks [b, d] in the order of its rows."""
    nearest = np.full(len(items), -1, dtype=np.int64)
    best = np.full(len(items), -np.inf, dtype=np.float32)
    kept: list[tuple[Ints, Ints, Floats]] = []
    first = num_kept = 0
    for block in blocks:
        for start in range(0, len(items) if len(block) else 0, _ITEMS_AT_ONCE):
            cosines = items[start : start + _ITEMS_AT_ONCE] @ block.T
            here = slice(start, start + len(cosines))
            top = cosines.argmax(axis=1)
            values = cosines[np.arange(len(top)), top]
            closer = values > best[here]
            nearest[here] = np.where(closer, top + first, nearest[here])
            best[here] = np.where(closer, values, best[here])
            item, row = np.nonzero(cosines >= threshold)
            kept.append((item + start, row + first, cosines[item, row]))
            num_kept += len(item)
        first += len(block)
        if num_kept > 2 * most_rows * max(len(items), 1000):
            kept = [_closest(kept, most_rows)]
            num_kept = len(kept[0][0])
    found, rows, cosines = _closest(kept, most_rows)
    order = np.lexsort((rows, found))
    return Close(
        items=found[order], rows=rows[order], cosines=cosines[order], nearest=nearest,
        nearest_cosines=np.where(nearest >= 0, best, np.nan).astype(np.float32),
    )  # fmt: skip


def _closest(kept: list[tuple[Ints, Ints, Floats]], most_rows: int) -> tuple[Ints, Ints, Floats]:
    """The `most_rows` closest rows of each item."""
    if not kept:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    items, rows, cosines = (np.concatenate(each) for each in zip(*kept, strict=True))
    order = np.lexsort((rows, -cosines, items))
    items, rows, cosines = items[order], rows[order], cosines[order]
    begins = np.searchsorted(items, items)
    near = np.arange(len(items)) - begins < most_rows
    return items[near], rows[near], cosines[near]


def in_blocks(vectors: Floats, size: int = BLOCK) -> Iterable[Floats]:
    """The rows of an array, so many at a time; of a memory map only these are read."""
    return (np.asarray(vectors[start : start + size]) for start in range(0, len(vectors), size))
