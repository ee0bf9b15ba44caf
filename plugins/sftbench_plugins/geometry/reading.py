"""Which rows of a pool can be chosen by their embeddings, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Component, Desk, Json, Pool, Row, Scores

Positions = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Eligible:
    """The rows that may be chosen: `rows` int64 [m] in the pool, `vectors` [m, d] and `costs` [m] of these."""

    rows: Positions
    vectors: Vectors
    costs: npt.NDArray[np.float64]
    reasons: Counter[str]

    @classmethod
    def of(
        cls, pool: Pool, vectors: Vectors, component: Component, scores: Scores | None, allowance: Allowance
    ) -> Eligible:
        """Leave out rows without a text to embed, with a broken vector, or, where scores are given, without one."""
        reason = np.full(len(pool), "", dtype=object)
        if scores is not None:
            reason[np.isnan(scores.values)] = "no_score"
        lengths = np.einsum("nd,nd->n", vectors, vectors)
        reason[lengths == 0] = "zero_norm"
        reason[~np.isfinite(lengths)] = "non_finite"
        empty = np.fromiter((_empty(row.text("instruction"), row.text("response"), component) for row in pool), object)
        reason = np.where(empty != "", empty, reason)
        rows = np.flatnonzero(reason == "")
        return cls(
            rows=rows,
            vectors=vectors if len(rows) == len(pool) else vectors[rows],
            costs=allowance.row_costs[rows],
            reasons=Counter(reason[reason != ""].tolist()),
        )

    def take(
        self, search: Iterable[tuple[int, float]], allowance: Allowance, desk: Desk
    ) -> tuple[Positions, list[float]]:
        """What a search gives, as far as the allowance admits: positions [B] among these rows, and their values.

        The value of the first position that is not admitted follows at the end, if there is one.
        """
        taken: list[int] = []
        values: list[float] = []
        room = allowance.cap * (1 + 1e-12)
        with desk.progress(allowance.num_rows, "rows") as progress:
            for at, value in search:
                values.append(value)
                room -= self.costs[at]
                if room < 0:
                    break
                taken.append(at)
                progress.advance(len(taken) <= allowance.num_rows)
        return np.array(taken, dtype=np.int64), values

    def is_short(self, taken: Positions, allowance: Allowance) -> bool:
        """Whether all rows were taken and the allowance is not used up."""
        return len(taken) == len(self.rows) and float(self.costs[taken].sum()) < allowance.cap * (1 - 1e-9)

    @property
    def report(self) -> dict[str, Json]:
        return {"num_eligible": len(self.rows), "reasons": dict(self.reasons)}


def one_turn(row: Row, sides: tuple[str, ...], *, first: bool) -> str:
    """The first or last turn of each of these sides (roles), one to a line."""
    turns = [[message.content for message in row.messages if message.role == side] for side in sides]
    return "\n".join(each[0 if first else -1] for each in turns if each)


def _empty(instruction: str, response: str, component: Component) -> str:
    if component != "response" and not instruction.strip():
        return "empty_instruction"
    if component != "instruction" and not response.strip():
        return "empty_response"
    return ""
