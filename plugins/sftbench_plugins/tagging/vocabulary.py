"""The tags of a pool and what becomes of them while they are merged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench import Json, Ragged

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SPECIAL = re.compile(r"[\W_]+")
_PAIRS_AT_ONCE = 2**25
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """`names` of the K tags there are now, `matrix` (which row has which, [n, K], ones), and where raw tags went.

    `raw_names` are the R tags as they were given; `now` int64 [R] is the tag that each is now, -1 for none.
    """

    names: list[str]
    matrix: csr_array
    raw_names: list[str]
    now: Labels

    @classmethod
    def of(cls, codes: Ragged, names: list[str]) -> Vocabulary:
        """Every raw tag is a tag: `codes` are the tags of each row by their place in `names`."""
        from scipy.sparse import csr_array

        ones = np.ones(len(codes.values), dtype=np.int32)
        shape = (len(codes), len(names))
        # A copy: making entries unique would otherwise move those of `codes`.
        matrix = csr_array((ones, codes.values.astype(np.int32), codes.offsets), shape=shape, copy=True)
        return cls(names=names, matrix=_once(matrix), raw_names=names, now=np.arange(len(names)))

    @property
    def num_rows_with(self) -> Labels:
        """Rows that have each tag, [K]."""
        counts: Labels = np.bincount(self.matrix.indices, minlength=len(self.names)).astype(np.int64)
        return counts

    def num_tags(self) -> Labels:
        """Distinct tags of each row, [n]."""
        counts: Labels = np.diff(self.matrix.indptr).astype(np.int64)
        return counts

    @property
    def ranks(self) -> Labels:
        """The place [K] of each tag when the most frequent come first, then the shortest, then by the alphabet."""
        counts = self.num_rows_with.tolist()
        keys = [(-count, len(name), name) for count, name in zip(counts, self.names, strict=True)]
        ranks = np.empty(len(keys), dtype=np.int64)
        ranks[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
        return ranks

    def without_rare(self, floor: int) -> Vocabulary:
        """Without the tags of fewer than `floor` rows."""
        return self._regrouped(np.where(self.num_rows_with >= floor, np.arange(len(self.names)), -1))

    def merged(self, labels: Labels) -> Vocabulary:
        """Tags with equal labels [K] become one, named as the first of them by rank."""
        return self._regrouped(labels)

    def columns(self, codes: Ragged) -> dict[str, Ragged]:
        """`raw_tags` and, place by place, the `tags` that they became; empty text for one that was dropped."""
        raw = np.array([*self.raw_names, ""], dtype=object)
        became = np.array([*self.names, ""], dtype=object)[self.now]
        return {
            "raw_tags": Ragged(values=raw[codes.values], offsets=codes.offsets),
            "tags": Ragged(values=became[codes.values], offsets=codes.offsets),
        }

    def largest_merged(self, count: int) -> dict[str, Json]:
        """The tags that most raw tags became, with some of these."""
        sizes = np.bincount(self.now[self.now >= 0], minlength=len(self.names))
        largest = [int(tag) for tag in np.argsort(-sizes, kind="stable")[:count] if sizes[tag] > 1]
        return {self.names[tag]: [self.raw_names[at] for at in np.flatnonzero(self.now == tag)[:10]] for tag in largest}

    def _regrouped(self, labels: Labels) -> Vocabulary:
        """Labels [K] below 0 drop a tag, equal ones join tags; groups are numbered by the rank of their first."""
        from scipy.sparse import csr_array

        by_rank = np.argsort(self.ranks)
        kept = by_rank[labels[by_rank] >= 0]
        _, first, group = np.unique(labels[kept], return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty(len(order), dtype=np.int64)
        number[order] = np.arange(len(order))
        became = np.full(len(labels) + 1, -1, dtype=np.int64)
        became[kept] = number[group]
        into = csr_array((np.ones(len(kept), np.int32), (kept, became[kept])), shape=(len(labels), len(order)))
        return Vocabulary(
            names=[self.names[kept[at]] for at in first[order]],
            matrix=_once(self.matrix @ into),
            raw_names=self.raw_names,
            now=became[self.now],
        )


def spellings(names: Sequence[str]) -> Labels:
    """Equal labels for tags that are equal in lower case, without special characters and word endings (Porter)."""
    import snowballstemmer

    stemmer = snowballstemmer.stemmer("porter")
    number_of: dict[str, int] = {}
    stems = (" ".join(stemmer.stemWords(_SPECIAL.sub(" ", name.lower()).split())) or name for name in names)
    return np.array([number_of.setdefault(stem, len(number_of)) for stem in stems], dtype=np.int64)


def near(vectors: npt.NDArray[np.float32], distance: float) -> Labels:
    """Equal labels for tags joined by a chain of cosine distances up to `distance`: DBSCAN with one point a core.

    `vectors` [K, d] are unit length; one that is not finite stays alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    clean = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, np.float32(0))
    pairs = [np.empty((2, 0), dtype=np.int64)]
    block = max(1, _PAIRS_AT_ONCE // max(1, len(clean)))
    for start in range(0, len(clean), block):
        close = clean[start : start + block] @ clean.T >= 1 - distance
        pairs.append(np.stack(np.nonzero(close)) + np.array([[start], [0]]))
    ends = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(ends.shape[1], dtype=np.int8), (ends[0], ends[1])), shape=(len(clean), len(clean)))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def _once(matrix: csr_array) -> csr_array:
    """The same pattern with ones."""
    matrix.sum_duplicates()
    matrix.data = np.ones_like(matrix.data)
    return matrix
