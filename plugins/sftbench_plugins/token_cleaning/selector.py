"""The selector `token-cleaning`: rows by chance or by given scores, and of their tokens the ones worth training on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Ragged, Scores, Selection, UsageError, param
from sftbench_plugins.chance import permutation, trainable
from sftbench_plugins.excess_loss import best_tokens, same_tokens, token_losses, told_of_labels
from sftbench_plugins.reference_recipe import Referenced

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TokenCleaning(Referenced):
    """The budget in rows, and of their response tokens the `keep` share whose loss the reference lowers most.

    Score of a token: its loss under the base minus its loss under the reference, in nats (Token Cleaning, Sec. 4,
    fixed-model). Rows are those of `random`, so that the two methods differ in tokens alone; given scores rank them.
    """

    name: ClassVar[str] = "token-cleaning"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param(
        "paper", "official: a sample that is ranked by itself may lose all its tokens, as in the released code"
    )
    keep: float = param(0.6, "share of the response tokens that are trained")
    scope: Literal["global", "sample"] = param("global", "ranked over all selected rows together, or within each")

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError("keep must be above 0 and at most 1")

    def needs(self) -> Needs:
        """The base and the reference."""
        return self.needs_reference("base")

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows within the allowance with a label for each response token. Raises `UsageError` for an id used twice."""
        if len(set(pool.ids)) != len(pool):
            raise UsageError("token-cleaning: the pool has an id twice")
        order = _by_score(scores) if scores is not None else permutation(len(pool), desk.seed, "random")
        ranked = trainable(order, desk)
        rows = allowance.fit(ranked)
        labels, report = self._label(pool, rows, desk)
        left_out = Counter(each.reason for each in desk.training_encoding(pool.take(_without_tokens(pool, desk))))
        short = len(rows) == len(ranked) and float(allowance.row_costs[rows].sum()) < allowance.cap * (1 - 1e-9)
        return Selection(
            ids=tuple(pool.ids[row] for row in rows),
            scores=None if scores is None else scores.values[rows],
            token_labels=labels,
            status="short" if short else "full",
            report={"mode": self.mode, "num_left_out": {str(k): v for k, v in sorted(left_out.items())}, **report},
        )

    def _label(self, pool: Pool, rows: Positions, desk: Desk) -> tuple[Ragged, dict[str, Json]]:
        """Labels in the order of `rows`; ties between tokens go by the order of the pool."""
        base = desk.language_model("base")
        reference = desk.language_model(self.reference_name)
        same_tokens(base, reference, who=self.name)
        in_pool = np.argsort(rows, kind="stable")
        ids = [pool.ids[row] for row in rows[in_pool]]
        losses = token_losses(pool, ids, desk, {"base": base, "reference": reference})
        gain = losses.excess("reference")
        labels = best_tokens(gain, keep=self.keep, scope=self.scope, at_least=int(self.mode == "paper"))
        report = {**told_of_labels(labels, gain), **losses.told()}
        place = np.argsort(in_pool, kind="stable")
        return Ragged.of([labels[int(at)] for at in place], np.uint8), report


def _by_score(scores: Scores) -> Positions:
    scored = np.flatnonzero(np.isfinite(scores.values))
    return scored[np.argsort(-scores.values[scored], kind="stable")]


def _without_tokens(pool: Pool, desk: Desk) -> list[int]:
    return [int(row) for row in np.flatnonzero(desk.training_tokens() == 0)]
