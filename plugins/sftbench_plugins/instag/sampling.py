"""Complexity-first diverse sampling (arXiv 2308.07074, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Rows = npt.NDArray[np.int64]


def complexity_order(tags: csr_array) -> Rows:
    """Rows by their number of tags, most first; equal ones in the order of the pool. `tags` is the incidence [n, K]."""
    return np.argsort(-np.diff(tags.indptr), kind="stable")


def diverse_order(tags: csr_array, order: Rows, taken_per_pass: list[int]) -> Iterator[int]:
    """Rows as they are taken, pass after pass; how many each pass gave so far stands in `taken_per_pass`.

    A pass begins with no tag seen, goes through the rows that are left in `order`, and takes those with
    a tag that it has not seen. Rows without tags are never taken; it ends when no other row is left.
    """
    waiting = order[np.diff(tags.indptr)[order] > 0].tolist()
    seen_in = np.zeros(tags.shape[1], dtype=np.int64)
    while waiting:
        taken_per_pass.append(0)
        left: list[int] = []
        num_unseen = tags.shape[1]
        for place, row in enumerate(waiting):
            held = tags.indices[tags.indptr[row] : tags.indptr[row + 1]]
            new = held[seen_in[held] < len(taken_per_pass)]
            if len(new):
                seen_in[new] = len(taken_per_pass)
                num_unseen -= len(new)
                taken_per_pass[-1] += 1
                yield row
            else:
                left.append(row)
            if not num_unseen:
                left.extend(waiting[place + 1 :])
                break
        waiting = left
