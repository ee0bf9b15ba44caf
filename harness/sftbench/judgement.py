"""Have a judge compare two lists of answers outside of a run: one step in the store, so nothing is judged twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sftbench import shelf
from sftbench.choosing import carried_out, planner_of
from sftbench.fingerprint import key_of
from sftbench.judging.naming import judge_use, refuse_unasked
from sftbench.plan import Ref, Step
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.pools import pool_of
from sftbench.record import Record
from sftbench.rooms import Json, Responses, Row, Verdicts
from sftbench.runner import Watcher, default_store
from sftbench.settings import check_settings
from sftbench.store import Store


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Verdicts, and the record of the step that gave them: its cost, and what a language model was asked."""

    verdicts: Verdicts
    record: Record


def judge_answers(
    judge: str, rows: Sequence[Row], model: Responses, baseline: Responses, *, plugins: Plugins, watcher: Watcher,
    store: Path | None = None, chat: str | None = None, embedder: str = "auto",
) -> Judged:  # fmt: skip
    """What a judge (`checker`, `pairwise[model=...]`, `vllm:MODEL`, `URL#MODEL`) says of two answers to each row.

    Verdicts are in the order of `rows`, whose last turn is the reference answer, empty where there is none. What was
    judged before, with the same judge, rows and answers, comes out of the store (default: that of runs).
    Raises `UsageError` for an unknown judge or parameter, and the error of the step where judging fails.
    """
    part = plugins.part("judge", judge_use(judge))
    refuse_unasked([part], chat=chat)
    # A judgement asked for by hand tries again what failed before.
    settings = check_settings({"methods": ["none"], "redo": "failed", "chat": chat, "embedder": embedder})
    planner = planner_of(settings, plugins, [part], seed=0)
    place = Store(store or default_store())
    ref = planner.verdict_step(
        part,
        pool=_given_rows(rows, planner, place),
        responses=_given_responses(model, planner, place),
        baseline=_given_responses(baseline, planner, place),
        label=f"verdicts of {part.name} on {len(rows)} pairs of answers",
    )
    carried_out(planner, ref, settings, plugins, watcher, place.root)
    record = place.ended(ref)
    return Judged(verdicts=shelf.verdicts_of(record.payload), record=record)


def _given_rows(rows: Sequence[Row], planner: Planner, store: Store) -> Ref:
    content = key_of([[row.id, [[turn.role, turn.content] for turn in row.messages], row.raw] for row in rows])
    step = Step(room="pool", label="rows to be judged", identity={"make": "given", "content": content})

    def save(work: Path) -> dict[str, Json]:
        pool = pool_of(rows, into=work / shelf.POOL_ROWS, key=step.ref, form="alpaca")
        shelf.save_pool_form(pool, work)
        return {"num_rows": len(pool), "form": pool.form}

    return _put(step, save, planner, store)


def _given_responses(responses: Responses, planner: Planner, store: Store) -> Ref:
    content = key_of(dataclasses.asdict(responses))
    step = Step(room="responses", label="given answers", identity={"make": "given", "content": content})

    def save(work: Path) -> dict[str, Json]:
        shelf.save_responses(responses, work)
        return {"num_responses": len(responses.ids)}

    return _put(step, save, planner, store)


def _put(step: Step, save: Callable[[Path], dict[str, Json]], planner: Planner, store: Store) -> Ref:
    """Into the store, as if a step had made it."""
    with store.making(step.room, step.key) as work:
        if store.find(step.room, step.key) is None:
            payload = save(work)
            store.commit(work, Record(key=step.key, room=step.room, identity=step.identity, payload=payload))
        else:
            work.rmdir()
    return planner.add(step)
