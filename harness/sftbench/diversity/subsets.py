"""Random subsets of a corpus that hold exactly as many tokens as a budget says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import lengths_of
from sftbench.diversity.measure import NUM_GROUPS
from sftbench.rooms import Ragged

DEFAULT_TOKENS = 1_000_000
NOT_REACHED = "budget_not_reached"


@dataclass(frozen=True, kw_only=True, eq=False)
class Subsets:
    """`kept` int32 [S, n]: how many tokens, from its beginning, each subset keeps of each row."""

    num_tokens: int
    kept: npt.NDArray[np.int32]
    reached: bool

    @property
    def note(self) -> str:
        """Why values of this budget must not be held against those of other sets, if they must not."""
        return "" if self.reached else NOT_REACHED


def subsets_of(corpus: Ragged, budget: int | None, *, seed: int) -> Subsets:
    """Rows drawn without replacement until the budget is used; the last row of each subset is cut to fit.

    Without a budget it is a million tokens, or half of the corpus where that is less. A budget above the
    corpus gives the whole corpus, once.
    """
    lengths = lengths_of(corpus)
    total = int(lengths.sum())
    wanted = min(DEFAULT_TOKENS, total // 2) if budget is None else budget
    if wanted >= total:
        return Subsets(num_tokens=total, kept=lengths[None].astype(np.int32), reached=wanted == total)
    kept = np.zeros((NUM_GROUPS, len(lengths)), dtype=np.int32)
    for row, generator in zip(kept, np.random.default_rng([seed, 2]).spawn(NUM_GROUPS), strict=True):
        order = generator.permutation(len(lengths))
        before = np.cumsum(lengths[order]) - lengths[order]
        row[order] = np.clip(wanted - before, 0, lengths[order])
    return Subsets(num_tokens=wanted, kept=kept, reached=True)
