"""Ready-made inputs for parts that stand in the middle of the way, put into a store as if steps had made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.plan import PlannedCell, Ref, Step
from sftbench.planner import Planner
from sftbench.record import Record
from sftbench.rooms import Scores, Selection
from sftbench.store import Store

NUM_CHOSEN = 10


@dataclass(frozen=True, kw_only=True)
class Given:
    """Random scores with one missing, and the first rows as a selection."""

    scores: Ref
    selection: Ref

    @property
    def refs(self) -> tuple[Ref, Ref]:
        """Both."""
        return self.scores, self.selection

    @classmethod
    def put(cls, store: Store, planner: Planner) -> Given:
        """Make both for the pool of a plan."""
        ids = _candidates(store, planner)
        values = np.random.default_rng(0).normal(size=len(ids))
        values[3] = np.nan
        pool = {"pool": planner.pool}
        scores = Step(room="scores", label="given scores", identity={"given": "scores"}, parents=pool)
        with store.making("scores", scores.key) as work:
            shelf.save_scores(Scores(values=values, reasons={3: "empty_response"}), ids, work)
            store.commit(work, Record(key=scores.key, room="scores", identity=scores.identity))
        chosen = Step(room="selection", label="given selection", identity={"given": "selection"}, parents=pool)
        with store.making("selection", chosen.key) as work:
            shelf.save_selection(Selection(ids=tuple(ids[:NUM_CHOSEN])), work)
            store.commit(work, Record(key=chosen.key, room="selection", identity=chosen.identity))
        return cls(scores=planner.add(scores), selection=planner.add(chosen))

    def measuring(self, planner: Planner, role: str, part: Any) -> Ref:
        """An evaluator on the base model, or a judge on its answers against themselves."""
        planner.terms = replace(
            planner.terms, **({"evals": (part,)} if role == "evaluator" else {"judges": {"it": part}})
        )
        evaluations, responses = planner.measured(None)
        if role == "evaluator":
            return evaluations[part.name]
        cell = PlannedCell(
            method="base", label="base", kind="control", budget="", seed=0, fidelity="", matched_to=None,
            training_passes=3.0, selection=self.selection, model=None, evaluations={}, responses=responses,
        )  # fmt: skip
        return planner.verdicts(cell, responses)["it"]


def _candidates(store: Store, planner: Planner) -> list[str]:
    """The ids that are left when held-out rows are split off: which these are is known by their text."""
    from sftbench.pools import held_out_split, read_pool

    with store.making("pool", "whole") as work:
        pool = read_pool(planner.facts.pool_source["source"], into=work / shelf.POOL_ROWS)
        candidates, _ = held_out_split(pool, planner.terms.heldout_share, planner.terms.heldout_at_most)
        return [pool.ids[index] for index in candidates]
