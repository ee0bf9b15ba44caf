"""The selector `kcenter`: rows spread so that no row of the pool is far from a chosen one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from sftbench import Allowance, Desk, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.geometry.reading import Eligible, Vectors, one_turn


@dataclass(frozen=True, kw_only=True)
class Kcenter:
    """K-center greedy on embeddings (Sener and Savarese 2018, algorithm 1; MoDS, arXiv 2311.15653).

    Each row chosen is the one farthest from those before it, so that the largest distance of any row to the
    nearest one chosen (the radius) is at most twice the smallest possible. Distances are euclidean between
    unit-length embeddings, which order pairs as cosines do. `official` draws the first row as the authors' code
    does with this seed.
    """

    name: ClassVar[str] = "kcenter"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param("paper", "'official' draws the first row as the authors' code does")
    component: Literal["instruction", "response", "both"] = param(
        "instruction", "what is embedded: instruction, response or both"
    )
    turns: Literal["all", "first", "last"] = param(
        "all", "which turns of a conversation are embedded: all, or the first or last of each side"
    )
    first: str = param("seeded", "the first row: seeded (by lot), medoid (nearest to the mean of all), or a row's id")

    def __post_init__(self) -> None:
        if self.mode == "official" and self.first == "medoid":
            raise ValueError("mode official knows a first row by lot (first=seeded) or by its id")

    def needs(self) -> Needs:
        """Embeddings that other methods share; those of single turns are made here."""
        return Needs(embeddings=(self.component,)) if self.turns == "all" else Needs(embedder=True)

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows in the order taken; a row's score is the radius once it is taken, so that the last one is the result's.

        A row without a number in `scores` (if given) is left out; they are not read otherwise. When all
        distinct embeddings are taken, rows equal to one before them fill up, in the order of the pool.
        """
        from sftbench_plugins.geometry.centres import Farthest

        eligible = Eligible.of(pool, self._vectors(pool, desk), self.component, scores, allowance)
        if not len(eligible.rows):
            return Selection(ids=(), status="short", report=eligible.report)
        search = Farthest(eligible.vectors, self._first(pool, eligible, desk))
        taken, distances = eligible.take(search, allowance, desk)
        desk.meter(flops=2.0 * search.num_columns * eligible.vectors.size)
        # The distance of the row that would come next is how far the farthest row is; with all taken none is far.
        radii = [*distances, 0.0][1 : len(taken) + 1]
        num_distinct = sum(distance > 0 for distance in distances[: len(taken)])
        return Selection(
            ids=tuple(pool.ids[at] for at in eligible.rows[taken]),
            scores=np.array(radii),
            status="short" if eligible.is_short(taken, allowance) else "full",
            report={
                **eligible.report,
                "first": pool.ids[eligible.rows[search.first]],
                "radius": radii[-1] if radii else None,
                "num_distinct": num_distinct,
                "status": "short_distinct" if num_distinct < len(taken) else "full",
            },
        )

    def _vectors(self, pool: Pool, desk: Desk) -> Vectors:
        if self.turns == "all":
            return desk.embedded(self.component)
        sides = {"instruction": ("user",), "response": ("assistant",), "both": ("user", "assistant")}[self.component]
        parts = []
        with desk.progress(len(pool), "rows") as progress:
            for batch in pool.batches(4096):
                parts.append(desk.embed([one_turn(row, sides, first=self.turns == "first") for row in batch]))
                progress.advance(len(batch))
        return np.concatenate(parts)

    def _first(self, pool: Pool, eligible: Eligible, desk: Desk) -> int:
        """The first row, as a position among the eligible ones."""
        count = len(eligible.rows)
        if self.first == "medoid":
            mean = eligible.vectors.mean(axis=0, dtype=np.float64)
            return int(np.argmax(eligible.vectors @ mean - np.einsum("nd,nd->n", *[eligible.vectors] * 2) / 2))
        if self.first == "seeded":
            if self.mode == "official":
                return int(np.random.RandomState(desk.seed).choice(count))
            return int(np.random.default_rng([desk.seed, 0x6B63]).integers(count))
        found = np.flatnonzero(eligible.rows == pool.index_of.get(self.first, -1))
        if not len(found):
            raise UsageError(
                f"kcenter: first={self.first} is no row that can be chosen; give the id of one, 'seeded' or 'medoid'"
            )
        return int(found[0])
