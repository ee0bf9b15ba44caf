"""The selector `instag`: complex queries first, covering tags."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, param
from sftbench_plugins.tag_columns import tagged_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from sftbench_plugins.instag.sampling import Rows

_PASSES_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class Instag:
    """Complexity-first diverse sampling over the tags of the scorer `tags` (arXiv 2308.07074, algorithm 1).

    Scores of the selection are numbers of tags. See the README beside this file.
    """

    name: ClassVar[str] = "instag"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    top_up: bool = param(True, "rows without tags fill what rows with tags leave of the budget, in pool order")

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Raises `UsageError` without the tags of the scorer `tags`."""
        tagged = tagged_rows(scores, self.name)
        from sftbench_plugins.instag.sampling import complexity_order, diverse_order

        trainable = desk.training_tokens() > 0
        tags = _without(tagged.matrix, ~trainable)
        num_tags = np.diff(tags.indptr)
        taken_per_pass: list[int] = []
        # The passes leave no row with tags, so that after them complexity has no more to say.
        untagged = np.flatnonzero(trainable & (num_tags == 0))
        more = untagged.tolist() if self.top_up else []
        filled = allowance.take(chain(diverse_order(tags, complexity_order(tags), taken_per_pass), more))
        num_eligible = int(trainable.sum()) if self.top_up else int((num_tags > 0).sum())
        is_short = len(filled) == num_eligible and allowance.pays_for_more(filled)
        return Selection(
            ids=tuple(pool.ids[row] for row in filled),
            scores=num_tags[filled].astype(np.float64),
            status="short" if is_short else "full",
            report={
                **_diversity(tags, filled),
                "num_passes": len(taken_per_pass),
                "taken_per_pass": list(taken_per_pass[:_PASSES_TOLD]),
                "num_topped_up": int((num_tags[filled] == 0).sum()),
                "num_rows": {
                    "with_tags": int((num_tags > 0).sum()),
                    "without_tags": len(untagged),
                    "nothing_to_train": int((~trainable).sum()),
                },
            },
        )


def _without(tags: csr_array, rows: npt.NDArray[np.bool_]) -> csr_array:
    """The incidence [n, K] with no tags where `rows` [n] is true."""
    from scipy.sparse import csr_array

    counts = np.diff(tags.indptr)
    kept = tags.indices[~np.repeat(rows, counts)]
    ends = np.concatenate([[0], np.cumsum(np.where(rows, 0, counts))])
    return csr_array((np.ones(len(kept), dtype=np.int32), kept, ends), shape=tags.shape)


def _diversity(tags: csr_array, rows: Rows) -> dict[str, Json]:
    """What InsTag calls complexity and diversity, of the rows and of the pool."""
    num_tags = np.diff(tags.indptr)
    covered = len(np.unique(tags[rows].indices))
    tagged = num_tags[num_tags > 0]
    return {
        "tags": covered,
        "coverage": covered / max(1, tags.shape[1]),
        "mean_tags": float(num_tags[rows].mean()) if len(rows) else 0.0,
        "pool_mean_tags": float(tagged.mean()) if len(tagged) else 0.0,
    }
