"""What two selections share: rows, against chance, and the order of those that both have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sftbench.anatomy.sides import NamedSelection
from sftbench.board.overlap import expected_jaccard, overlap_of


def overlap(first: NamedSelection, second: NamedSelection) -> dict[str, Any] | None:
    """Common rows, Jaccard overlap and what chance gives of it, and the correlation of ranks; None where neither
    positions nor ids can be compared."""
    ids = (first.ids, second.ids)
    places = (first.positions, second.positions)
    if places[0] is not None and places[1] is not None and _one_pool(first, second):
        one, other = set(places[0].tolist()), set(places[1].tolist())
    elif ids[0] is not None and ids[1] is not None:
        one, other = set(ids[0]), set(ids[1])
    else:
        return None
    either = len(one | other)
    size = _num_rows(first, second)
    return {
        "num_common": len(one & other),
        "num_a": len(one),
        "num_b": len(other),
        "jaccard": len(one & other) / either if either else 1.0,
        "by_chance": expected_jaccard(len(one), len(other), size) if size else None,
        "num_rows_of_pool": size,
        "ranks": rank_correlation(*ids) if ids[0] is not None and ids[1] is not None else None,
    }


def _one_pool(first: NamedSelection, second: NamedSelection) -> bool:
    cells = (first.cell, second.cell)
    return cells[0] is not None and cells[1] is not None and cells[0].pool.key == cells[1].pool.key


def _num_rows(first: NamedSelection, second: NamedSelection) -> int | None:
    if first.positions is None or second.positions is None or not _one_pool(first, second):
        return None
    return first.cell.pool.num_rows if first.cell else None


def rank_correlation(first: tuple[str, ...] | None, second: tuple[str, ...] | None) -> dict[str, Any] | None:
    """Spearman's correlation of the ranks of the rows that both have, with a two-sided p from the normal
    approximation r * sqrt(n - 1); None for fewer than three."""
    places = {row_id: rank for rank, row_id in enumerate(second or ())}
    both = [places[row_id] for row_id in first or () if row_id in places]
    count = len(both)
    if count < 3:
        return None
    ranks = np.argsort(np.argsort(both))
    value = 1 - 6 * float(((ranks - np.arange(count)) ** 2).sum()) / (count * (count**2 - 1))
    return {"spearman": value, "num_rows": count, "p": math.erfc(abs(value) * math.sqrt(count - 1) / math.sqrt(2))}


def across_seeds(side: NamedSelection) -> dict[str, Any] | None:
    """How much of a method's selection survives another seed, as boards tell; None where the seed plays no part."""
    found = overlap_of(side.entry.done) if side.entry else None
    return None if found is None else {"mean": found.mean, "by_chance": found.by_chance, "num_pairs": found.num_pairs}
