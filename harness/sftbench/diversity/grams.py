"""N-grams as numbers: exact ids by sorting, in shards, so that a large corpus needs no dictionary and little memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import lengths_of
from sftbench.rooms import Ragged

TOKENS_AT_ONCE = 20_000_000
"""Positions that a shard holds; a position needs about 60 bytes while it is sorted."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Grams:
    """The n-grams of one shard, in the order of their positions.

    `ids` [P] number the kinds from 0 to `num_kinds` - 1; two shards share no kind. `rows` [P] is the row
    in which each stands, `ends` [P] the number of that row's tokens up to its last one.
    """

    n: int
    ids: Ints
    num_kinds: int
    rows: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]


def grams(corpus: Ragged, max_n: int, *, min_n: int = 1, tokens_at_once: int = TOKENS_AT_ONCE) -> Iterator[Grams]:
    """All n-grams of a corpus of ids, none across two rows, n from `min_n` to `max_n` within each shard.

    A shard holds the n-grams that begin with certain tokens. The id of an n-gram is the rank of the pair
    (id of its first n - 1 tokens, last token), so it is exact: nothing is hashed.
    """
    values = corpus.values.astype(np.int64)
    base = int(values.max(initial=0)) + 1
    lengths = lengths_of(corpus)
    rows = np.repeat(np.arange(len(corpus), dtype=np.int32), lengths)
    num_shards = max(1, -(-len(values) // tokens_at_once))
    for shard in range(num_shards):
        at = np.flatnonzero(values % num_shards == shard)
        left = corpus.offsets[1:][rows[at]] - at
        ids, num_kinds = ranks(values[at])
        for n in range(1, max_n + 1):
            if n > 1:
                has_next = left >= n
                at, left = at[has_next], left[has_next]
                ids, num_kinds = ranks(ids[has_next] * base + values[at + n - 1])
            if n >= min_n:
                ends = (at - corpus.offsets[:-1][rows[at]] + n).astype(np.int32)
                yield Grams(n=n, ids=ids, num_kinds=num_kinds, rows=rows[at], ends=ends)


def ranks(keys: Ints) -> tuple[Ints, int]:
    """Each key's place among the distinct ones, and how many of these there are."""
    kinds, places = np.unique(keys, return_inverse=True)
    return places.astype(np.int64, copy=False), len(kinds)
