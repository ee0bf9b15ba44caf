"""How much the selections of a method under several seeds have in common, and how much chance would give them."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from sftbench.board.cells import Cell
from sftbench.board.table import Overlap
from sftbench.positions import Positions, positions_from_text


def overlap_of(cells: list[Cell]) -> Overlap | None:
    """Over all pairs of finished seeds of a row; None with fewer than two selections.

    Seeds that share one selection (the same key) are one: there the seed plays no part.
    """
    texts = {cell.selection.key: cell.selection.positions for cell in cells if cell.selection}
    num_rows = cells[0].pool.num_rows if cells else 0
    chosen = [positions_from_text(text, num_rows=num_rows) for text in texts.values() if text is not None]
    pairs = list(combinations(chosen, 2))
    if not pairs:
        return None
    return Overlap(
        mean=float(np.mean([jaccard(*pair) for pair in pairs])),
        by_chance=float(np.mean([expected_jaccard(len(one), len(other), num_rows) for one, other in pairs])),
        num_pairs=len(pairs),
    )


def jaccard(one: Positions, other: Positions) -> float:
    """Rows in both over rows in either; each has its rows once. 1 for two empty choices."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - common
    return common / either if either else 1.0


def expected_jaccard(size: int, other_size: int, num_rows: int) -> float:
    """The mean Jaccard overlap of two independent random choices of these sizes out of `num_rows`.

    The number of common rows k is hypergeometric; its probabilities follow from the ratio of neighbours,
    P(k+1) / P(k) = (a-k)(b-k) / ((k+1)(n-a-b+k+1)), in logarithms because they span many magnitudes.
    """
    fewest, most = max(0, size + other_size - num_rows), min(size, other_size)
    common = np.arange(fewest, most + 1, dtype=np.float64)
    now = common[:-1]
    ratios = (size - now) * (other_size - now) / ((now + 1) * (num_rows - size - other_size + now + 1))
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    weights = np.exp(logs - logs.max())
    either = size + other_size - common
    shares = np.divide(common, either, out=np.ones_like(common), where=either > 0)
    return float((weights * shares).sum() / weights.sum())
