"""Which topics a level has: always those of the level below and some more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench_plugins.m2m.lengths import Limits
from sftbench_plugins.m2m.prune import Pruned

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Labels = npt.NDArray[np.int64]


def descend_by_topic(matrix: csr_array, limits: Limits, *, seed: int) -> Pruned:
    """Remove whole topics, as long as the rows that stay fill the limits.

    `matrix` [n, K] has at most one topic per row. The last to stay are the largest topics, as many as
    the limits need; the others go in an order drawn by lot. Rows without a topic never go: they are
    filler.
    """
    num_rows, num_topics = matrix.shape
    topic_of = np.full(num_rows, -1, dtype=np.int64)
    topic_of[np.diff(matrix.indptr) > 0] = matrix.indices
    sizes = np.bincount(topic_of[topic_of >= 0], minlength=num_topics)
    largest = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    num_needed = _num_needed(topic_of, largest, limits)
    staying, going = largest[:num_needed], largest[num_needed:]
    going = np.random.default_rng(seed).permutation(going)
    place = np.full(num_topics + 1, -1, dtype=np.int64)
    place[going] = np.arange(len(going))
    order = np.argsort(place[topic_of], kind="stable")
    order = order[place[topic_of[order]] >= 0]
    types_after = np.full(len(order) + 1, len(staying) + len(going), dtype=np.int64)
    types_after[1:] -= np.cumsum(np.diff(place[topic_of[order]], append=len(going)) > 0)
    return Pruned(num_rows=num_rows, order=order, types_after=types_after)


def _num_needed(topic_of: Labels, largest: Labels, limits: Limits) -> int:
    """How many of the largest topics fill every stratum's room, at least 1."""
    rank = np.full(int(topic_of.max(initial=0)) + 2, -1, dtype=np.int64)
    rank[largest] = np.arange(len(largest))
    ranks = np.where(topic_of >= 0, rank[topic_of], 0)
    needed = 1
    for stratum, room in enumerate(limits.room.tolist()):
        mine = limits.strata == stratum
        filled = np.cumsum(np.bincount(ranks[mine], weights=limits.costs[mine], minlength=max(1, len(largest))))
        needed = max(needed, 1 + int(np.searchsorted(filled, room * (1 - 1e-12), side="left")))
    return min(needed, len(largest))
