"""Have a judge compare two lists of answers outside of a run: one step in the store, so nothing is judged twice."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.choosing import carried_out, planner_of
from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.judging.aligning import Aligned, align
from sftbench.judging.answer_files import AnswerFile, read_answer_file
from sftbench.judging.naming import judge_use, refuse_unasked
from sftbench.judging.score import score_file
from sftbench.judging.scoring import Scoring
from sftbench.plan import Ref, Step
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.pools import pool_of
from sftbench.pools.prompts import prompt_lines
from sftbench.record import Record
from sftbench.rooms import Json, Responses, Row, Verdicts
from sftbench.runner import Watcher, default_store
from sftbench.serving.household import KeptServers, keeping, logs_in
from sftbench.settings import check_settings
from sftbench.store import Store, full_disk_explained, write_atomically


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts, and the record of the step that gave them: its cost, and what a language model was asked."""

    verdicts: Verdicts
    record: Record


def judge_answers(
    judge: str, rows: Sequence[Row], model: Responses, baseline: Responses, *, plugins: Plugins, watcher: Watcher,
    store: Path | None = None, chat: str | None = None, embedder: str = "auto", concurrency: int | None = None,
    vllm: Path | None = None, kept: KeptServers | None = None,
) -> Judgement:  # fmt: skip
    """What a judge (`checker`, `pairwise[model=...]`, `vllm:MODEL`, `URL#MODEL`) says of two answers to each row.

    Verdicts are in the order of `rows`, whose last turn is the reference answer, empty where there is none; a row
    that lacks an answer is not judged and has the flag `missing_answer`. What was judged before, with the same judge,
    rows and answers, comes out of the store (default: that of runs); what failed at its server is asked again.
    `concurrency` is how many requests are made at a time (None: what is fit for the server); servers that are `kept`
    outlast this judgement.
    Raises `UsageError` for an unknown judge or parameter, and the error of the step where judging fails.
    """
    both = set(model.ids) & set(baseline.ids)
    answered = [row for row in rows if row.id in both]
    if not answered:
        raise UsageError("no row has an answer of both, so there is nothing to judge")
    part = plugins.part("judge", judge_use(judge))
    refuse_unasked([part], chat=chat)
    # A judgement asked for by hand tries again what failed before.
    given = {"methods": ["none"], "redo": "failed", "chat": chat, "embedder": embedder, "vllm": vllm}
    settings = check_settings({**given, "concurrency": concurrency})
    planner = planner_of(settings, plugins, [part], seed=0)
    place = Store(store or default_store())
    ref = planner.verdict_step(
        part,
        pool=_given_rows(answered, planner, place),
        responses=_given_responses(model, planner, place),
        baseline=_given_responses(baseline, planner, place),
        label=f"verdicts of {part.name} on {len(answered)} pairs of answers",
    )
    carried_out(planner, ref, settings, plugins, watcher, place.root, kept=kept)
    record = place.ended(ref)
    return Judgement(verdicts=_for_all(rows, shelf.verdicts_of(record.payload)), record=record)


@dataclass(frozen=True, kw_only=True)
class PairsWanted:
    """Two files of answers and who is to judge them: the fields are the flags of `bench judge pairs`."""

    model: Path
    baseline: Path
    judge: str
    prompts: Path | None = None
    out: Path | None = None
    chat: str | None = None
    vllm: Path | None = None
    embedder: str = "auto"
    concurrency: int | None = None
    resamples: int | None = None
    seed: int = 0
    store: Path | None = None


@dataclass(frozen=True, kw_only=True)
class PairsJudged:
    """`lines` as a verdict file has them, and a `summary`: the win rate in percent with its interval, and the rest."""

    lines: list[dict[str, Any]]
    summary: dict[str, Any]


def judge_files(wanted: PairsWanted, *, plugins: Plugins, watcher: Watcher) -> PairsJudged:
    """Judge two files of answers, and write the verdicts to `wanted.out`, if that is named.

    Raises `UsageError` naming the line for files that cannot be read or brought together.
    """
    files = read_answer_file(wanted.model), read_answer_file(wanted.baseline)
    aligned = align(*files, list(prompt_lines(str(wanted.prompts))) if wanted.prompts else None)
    names = _names(*files)
    with keeping(logs_in(wanted.store or default_store(), "judge-pairs")) as kept:
        judged = judge_answers(
            wanted.judge, aligned.rows, aligned.model, aligned.baseline, plugins=plugins, watcher=watcher,
            store=wanted.store, chat=wanted.chat, embedder=wanted.embedder, concurrency=wanted.concurrency,
            vllm=wanted.vllm, kept=kept,
        )  # fmt: skip
    lines = verdict_lines(judged.verdicts, model=names[0], baseline=names[1])
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with tempfile.TemporaryDirectory() as scratch:
        path = wanted.out or Path(scratch) / "verdicts.jsonl"
        with full_disk_explained(path.parent, "out"):
            write_atomically(path, text)
        (score,) = score_file(Scoring(verdicts=path, metric="win-rate", resamples=wanted.resamples, seed=wanted.seed))
    return PairsJudged(lines=lines, summary=_summary(wanted, score, names[1], aligned, judged.verdicts))


def _names(model: AnswerFile, baseline: AnswerFile) -> tuple[str, str]:
    """Two different names, or a verdict file would compare a model with itself."""
    if model.model != baseline.model:
        return model.model, baseline.model
    return f"{model.model} ({model.path.name})", f"{baseline.model} ({baseline.path.name}, baseline)"


def _summary(
    wanted: PairsWanted, score: Mapping[str, Any], baseline: str, aligned: Aligned, verdicts: Verdicts
) -> dict[str, Any]:
    report = verdicts.report
    about = ("consistency", "position_bias", "num_unread_games", "num_calls", "num_tokens")
    flags = report.get("flags")
    truncated = flags.get("judge_truncated", 0) if isinstance(flags, Mapping) else 0
    return {
        "model": score["model"], "baseline": baseline, "judge": wanted.judge, "win_rate": score["score"],
        **{name: score[name] for name in ("ci_lo", "ci_hi", "wins", "losses", "ties", "num_prompts")},
        "num_missing_model": aligned.num_missing[0], "num_missing_baseline": aligned.num_missing[1],
        **{name: report.get(name) for name in about}, "num_truncated": truncated,
        "status": score["status"], "notes": score["notes"],
    }  # fmt: skip


def verdict_lines(verdicts: Verdicts, *, model: str, baseline: str) -> list[dict[str, Any]]:
    """Verdicts as a verdict file has them (docs/judging.md), an item a line; what has no value is left out."""
    lines = []
    for at, (row_id, preference) in enumerate(zip(verdicts.ids, verdicts.preference, strict=True)):
        found = {name: values[at] for name, values in verdicts.columns.items()}
        line = {"id": row_id, "model": model, "baseline": baseline}
        value = float(preference) if np.isfinite(preference) else None
        lines.append({**line, "preference": value, **{name: each for name, each in found.items() if each is not None}})
    return lines


def _for_all(rows: Sequence[Row], verdicts: Verdicts) -> Verdicts:
    """With a line for each row, whether it was judged or lacks an answer."""
    place = {row_id: at for at, row_id in enumerate(verdicts.ids)}
    if len(place) == len(rows):
        return verdicts
    at = [place.get(row.id) for row in rows]
    flags = verdicts.columns.get("flags", [[] for _ in verdicts.ids])
    columns = {
        **{name: [None if each is None else values[each] for each in at] for name, values in verdicts.columns.items()},
        "flags": [["missing_answer"] if each is None else flags[each] for each in at],
    }
    preference = np.array([np.nan if each is None else verdicts.preference[each] for each in at], dtype=np.float64)
    return Verdicts(ids=tuple(row.id for row in rows), preference=preference, columns=columns, report=verdicts.report)


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
