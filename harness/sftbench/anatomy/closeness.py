"""How close the rows of a selection lie to each other and to held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sftbench.contamination.nearest import close_rows, in_blocks
from sftbench.pools.words import words_of
from sftbench.rooms import Pool, Row

Floats = npt.NDArray[np.float32]
NUM_NEAREST = 3


def near_duplicates(rows: Sequence[Row], vectors: Floats, *, cosine: float) -> dict[str, Any]:
    """The share of rows that have another in the same selection whose instruction lies at least so close, and the share
    whose words (of both sides) another has exactly."""
    close = close_rows(vectors, in_blocks(vectors), threshold=cosine)
    alike = np.unique(close.items[close.items != close.rows])
    counts: dict[tuple[str, ...], int] = {}
    texts = [tuple(words_of(row.text("both"))) for row in rows]
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    same = sum(counts[text] > 1 for text in texts)
    return {"share": len(alike) / len(rows), "share_exact": same / len(rows), "num_rows": len(rows)}


def nearest_heldout(rows: Sequence[Row], vectors: Floats, heldout: Pool, items: Floats) -> dict[str, Any]:
    """How close the nearest row of a selection lies to each held-out prompt, and the closest pairs."""
    close = close_rows(items, in_blocks(vectors), threshold=np.inf)
    cosines = close.nearest_cosines.astype(np.float64)
    first = np.argsort(-cosines, kind="stable")[:NUM_NEAREST]
    pairs = []
    for item in first:
        row = rows[int(close.nearest[item])]
        asked = heldout[int(item)].text("instruction")
        told = {"item": heldout.ids[int(item)], "row": row.id, "cosine": float(cosines[item])}
        pairs.append({**told, "item_text": asked, "row_text": row.text("instruction")})
    middle, tenth, most = np.quantile(cosines, [0.5, 0.9, 1.0])
    return {"median": float(middle), "ninetieth": float(tenth), "most": float(most), "closest": pairs}
