"""Held-out rows, chosen by a hash of their text: the same rows on every machine, in any order of the pool."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from sftbench.errors import UsageError
from sftbench.rooms import Pool, Row


def held_out_split(
    pool: Pool, share: float = 0.1, at_most: int = 200, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the rows to choose from and of the held-out rows, both in pool order.

    Held out are the rows with the smallest hashes of seed and text: `share` of the pool rounded down,
    at least one and at most `at_most`. Rows of equal text stay together, so none is on both sides; a
    group that would be too many is passed over. Raises `UsageError` when nothing can be held out.
    """
    if not 0 < share < 1 or at_most < 1:
        raise UsageError(
            f"cannot hold out a share of {share} and at most {at_most} rows: expected 0 < share < 1 and at_most >= 1"
        )
    hashes = np.fromiter((text_hash(row, seed) for row in pool), dtype=np.uint64, count=len(pool))
    group_of, sizes = np.unique(hashes, return_inverse=True, return_counts=True)[1:]
    wanted = min(at_most, max(1, int(share * len(pool))))
    taken, num_held_out = np.zeros(len(sizes), dtype=np.bool_), 0
    for group, size in enumerate(sizes.tolist()):
        if num_held_out + size <= wanted:
            taken[group] = True
            num_held_out += size
        if num_held_out == wanted:
            break
    held_out = taken[group_of]
    if not 0 < num_held_out < len(pool):
        raise UsageError(
            f"nothing can be held out of {len(pool)} rows with {len(sizes)} different texts; "
            "give held-out rows of their own with --heldout"
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def apart_from(pool: Pool, heldout: Pool, *, by_prompt: bool = False) -> npt.NDArray[np.int64]:
    """Positions of the rows of a pool whose text is not that of a held-out row.

    With `by_prompt` a row is left out already when one of its user turns is one of a held-out row, whatever follows.
    Raises `UsageError` when none is left.
    """
    keys = _asked if by_prompt else _whole
    asked = {key for row in heldout for key in keys(row)}
    kept = np.array([index for index, row in enumerate(pool) if asked.isdisjoint(keys(row))], dtype=np.int64)
    if not len(kept):
        raise UsageError("every row of the pool is among the held-out rows: there is nothing to choose from")
    return kept


def _whole(row: Row) -> set[str | int]:
    return {text_hash(row)}


def _asked(row: Row) -> set[str | int]:
    """Its user turns, by their words."""
    turns = (" ".join(message.content.split()) for message in row.messages if message.role == "user")
    return {turn.casefold() for turn in turns if turn}


def text_hash(row: Row, seed: int = 0) -> int:
    """64 bits of the roles and contents of a row, whatever its id."""
    digest = blake2b(str(seed).encode(), digest_size=8)
    for message in row.messages:
        # Lengths keep two texts apart that differ only in where one message ends.
        digest.update(f"\0{message.role}:{len(message.content)}:{message.content}".encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest(), "big")
