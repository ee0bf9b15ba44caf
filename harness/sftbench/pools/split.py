"""Held-out rows, chosen by a hash of each id: the same rows on every machine, in any order of the pool."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from sftbench.errors import UsageError
from sftbench.rooms import Pool


def held_out_split(
    pool: Pool, share: float = 0.1, at_most: int = 200, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the rows to choose from and of the held-out rows, both in pool order.

    Held out are the rows with the smallest hashes of seed and id: `share` of the pool rounded down,
    at least one and at most `at_most`. Raises `UsageError` for a pool of one row.
    """
    if not 0 < share < 1 or at_most < 1:
        raise UsageError(
            f"cannot hold out a share of {share} and at most {at_most} rows: expected 0 < share < 1 and at_most >= 1"
        )
    if len(pool) < 2:
        raise UsageError("the pool has one row: there is none to hold out; give held-out rows of their own")
    hashes = np.fromiter((_hash(row_id, seed) for row_id in pool.ids), dtype=np.uint64, count=len(pool))
    wanted = min(at_most, max(1, int(share * len(pool))))
    order = np.lexsort((np.asarray(pool.ids), hashes))
    held_out = np.zeros(len(pool), dtype=np.bool_)
    held_out[order[:wanted]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _hash(row_id: str, seed: int) -> int:
    return int.from_bytes(blake2b(f"{seed}:{row_id}".encode(), digest_size=8).digest(), "big")
