"""Random rows that are like another selection in one respect, so that the respect alone can be told from the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.chance import permutation, trainable

NUM_BANDS = 10

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MatchedRandom:
    """Random rows matched to another method's selection.

    `lengths`: as many rows from each tenth of the pool by response length. A row may be in both
    selections, and must be where the other selection takes nearly all of a tenth: `num_shared` tells.
    `tokens`: random rows until their trained response tokens come closest to those of the other
    selection. `compute`: random rows until one training on them takes what the other method took
    for choosing and training together, in FLOPs; at most the whole pool.
    """

    name: ClassVar[str] = "matched-random"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    match: Literal["lengths", "tokens", "compute"] = param("lengths", "what is made equal")

    def needs(self) -> Needs:
        return Needs(other_selection=True)

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        other = _positions(pool, desk.other_selection().ids)
        order = trainable(permutation(len(pool), desk.seed, f"random-{self.match}"), desk)
        report: dict[str, Json]
        if self.match == "lengths":
            lengths = desk.response_lengths()
            chosen = allowance.fit(same_lengths(order, lengths, other))
            report = {
                "mean_length": float(lengths[chosen].mean()),
                "mean_length_of_other": float(lengths[other].mean()),
                "num_shared": len(np.intersect1d(chosen, other)),
            }
        else:
            costs, target = self._target(desk, other)
            chosen = closest_total(order, costs, target)
            report = {"total": float(costs[chosen].sum()), "total_of_other": target}
        return Selection(ids=tuple(pool.ids[at] for at in chosen), report={"match": self.match, **report})

    def _target(self, desk: Desk, other: Positions) -> tuple[npt.NDArray[np.float64], float]:
        """What each row costs, and what the costs are to add up to."""
        if self.match == "tokens":
            costs = desk.training_tokens().astype(np.float64)
            labels = desk.other_selection().token_labels
            trained = float((labels.values > 0).sum()) if labels is not None else float(costs[other].sum())
            return costs, trained
        cost = desk.other_cost()
        return desk.training_flops(), cost["selecting_flops"] + cost["training_flops"]


def _positions(pool: Pool, ids: Sequence[str]) -> Positions:
    try:
        return np.array([pool.index_of[row_id] for row_id in ids], dtype=np.int64)
    except KeyError as missing:
        raise UsageError(
            f"the other method chose the row {missing}, which the pool has not: it generates rows, and random rows "
            "of the pool cannot be matched to those"
        ) from None


def same_lengths(order: Positions, lengths: npt.NDArray[np.int64], other: Positions) -> Positions:
    """Rows of `order` so that each tenth of the pool by length gives as many as it gives to `other`.

    `other` comes from the pool itself, so no tenth can run short. Returned in the order given.
    """
    band = np.empty(len(lengths), dtype=np.int64)
    band[np.lexsort((np.arange(len(lengths)), lengths))] = np.arange(len(lengths)) * NUM_BANDS // len(lengths)
    wanted = np.bincount(band[other], minlength=NUM_BANDS)
    taken = np.zeros(NUM_BANDS, dtype=np.int64)
    chosen = []
    for at in order.tolist():
        if taken[band[at]] < wanted[band[at]]:
            taken[band[at]] += 1
            chosen.append(at)
    return np.array(chosen, dtype=np.int64)


def closest_total(order: Positions, costs: npt.NDArray[np.float64], target: float) -> Positions:
    """The beginning of `order`, at least one row, whose costs add up closest to `target`."""
    totals = np.cumsum(costs[order])
    return order[: int(np.argmin(np.abs(totals - target))) + 1]
