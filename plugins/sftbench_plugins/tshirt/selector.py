"""The selector `tshirt`: the highest mean S-IFD first, and of those the rows whose S-IFD is steadiest under noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.tshirt import stages


@dataclass(frozen=True, kw_only=True)
class Hierarchical:
    """Keep rows with mean noisy IFD < 1, take gamma times the budget by mean S-IFD, then the budget by smallest std.

    Source: T-SHIRT (arXiv 2506.01317), sec. 3.2. Expects the columns of the scorer `tshirt`.
    """

    name: ClassVar[str] = "tshirt"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "'official' keeps the heap of the authors' code at ties")
    gamma: float = param(2.0, "how many times the budget survive the first stage")
    hierarchical_off: bool = param(False, "ablation: leave out the second stage (top of mean S-IFD)")

    def __post_init__(self) -> None:
        if not self.gamma >= 1:
            raise ValueError("gamma must be at least 1")
        if self.mode == "official" and self.hierarchical_off:
            raise ValueError("hierarchical_off is an ablation of mode=paper; the authors' code cannot do it")

    def needs(self) -> Needs:
        """Nothing beyond the scores."""
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Ids by rising std of S-IFD; fewer than the budget, with status `short`, when too few rows are eligible."""
        mean, std, mean_ifd = _columns(scores)
        candidates = stages.eligible(mean, mean_ifd)
        first = self._first_stage(mean, candidates, allowance)
        ranked = first if self.hierarchical_off else stages.steadiest(std, first)
        chosen = allowance.fit(ranked)
        spent = float(allowance.row_costs[chosen].sum())
        short = len(chosen) == len(candidates) and spent < allowance.cap * (1 - 1e-12)
        return Selection(
            ids=tuple(pool.ids[index] for index in chosen),
            scores=mean[chosen],
            status="short" if short else "full",
            report={
                "num_rows": len(pool),
                "num_unscored": int(np.isnan(mean).sum()),
                "num_eligible": len(candidates),
                "num_after_first_stage": len(first),
                "num_selected": len(chosen),
                "lowest_mean_sifd_of_first_stage": float(mean[first].min()) if len(first) else None,
                "highest_std_sifd_selected": float(std[chosen].max()) if len(chosen) else None,
            },
        )

    def _first_stage(
        self, mean: npt.NDArray[np.float64], candidates: npt.NDArray[np.int64], allowance: Allowance
    ) -> npt.NDArray[np.int64]:
        ranked = stages.best_by_mean(mean, candidates)
        # In rows this is gamma * B; in tokens or FLOPs the same share of the budget, counted along the ranking.
        size = stages.num_within(allowance.row_costs[ranked], cap=self.gamma * allowance.cap)
        if self.mode == "official":
            return stages.heap_survivors(mean, candidates, size=size)
        return ranked[:size]


def _columns(scores: Scores | None) -> tuple[npt.NDArray[np.float64], ...]:
    wanted = ("std_sifd", "mean_noisy_ifd")
    if scores is None or any(name not in scores.columns for name in wanted):
        raise UsageError("the selector 'tshirt' reads the columns of the scorer 'tshirt': use both together")
    return (scores.values, *(np.asarray(scores.columns[name], dtype=np.float64) for name in wanted))
