"""Do one step: read its parents, call its part, write what came of it. The only place that calls parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.arrays import load_arrays
from sftbench.bench import Bench, parent_pool
from sftbench.budget import Budget, RowPrices, allowance, enforce, enforce_total
from sftbench.contamination.step import find_items
from sftbench.desk import WorkingDesk
from sftbench.diversity.step import count_types, describe_rows
from sftbench.errors import ContractError, SftbenchError, UsageError
from sftbench.ledger import Ledger
from sftbench.parameters import PartUse
from sftbench.plan import Step
from sftbench.planted import count_planted
from sftbench.prepare import calibrate, embed_pool, make_pool, measure_lengths, run_pass
from sftbench.roles import Allowance, Chosen
from sftbench.rooms import Generated, Json, Pool, Responses, Scores, Selection, Verdicts

Payload = dict[str, Json]


def perform(step: Step, bench: Bench) -> Payload:
    """Make the output of one step in `bench.work`; returns what belongs into its record."""
    scratch = bench.work / "scratch"
    scratch.mkdir(exist_ok=True)
    desk = WorkingDesk(step=step, store=bench.store, meter_=bench.meter, reporter=bench.reporter, scratch=scratch)
    doer = {
        "pool": make_pool,
        "lengths": measure_lengths,
        "calibration": calibrate,
        "pass": run_pass,
        "embeddings": embed_pool,
        "generated": _generate,
        "chosen": _narrow,
        "scores": _score,
        "selection": _select,
        "model": _train,
        "responses": _respond,
        "evaluation": _evaluate,
        "verdicts": _judge,
        "types": count_types,
        "description": describe_rows,
        "contamination": find_items,
    }[step.room]
    try:
        payload = doer(step, bench, desk)
    finally:
        started = desk.seconds_starting
        bench.meter.waited(started)
        if started >= 1:
            desk.log(f"{started:.0f} s went by until the server was there; they are not in the cost of this step")
    waited: Payload = {"seconds_starting": started} if started else {}
    return {**payload, **desk.asked(), **waited}


def _part(step: Step, bench: Bench, role: str) -> Any:
    parameters = step.identity.get("parameters")
    name = str(step.identity["part"]).rpartition("@")[0]
    given: Mapping[str, Json] = parameters if isinstance(parameters, Mapping) else {}
    part = bench.plugins.part(role, PartUse(name=name, parameters=given))
    if f"{part.name}@{part.version}" != step.identity["part"]:
        raise SftbenchError(f"planned with {step.identity['part']}, but {part.name}@{part.version} is installed now")
    return part


def _generate(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    from sftbench.pools import Screen, pool_of

    pool = parent_pool(step, bench)
    part = _part(step, bench, "generator")
    told = part.generate(pool, desk)
    generated = told if isinstance(told, Generated) else Generated(rows=told)
    screen = Screen(pool=pool, heldout=parent_pool(step, bench, "heldout") if "heldout" in step.parents else None)
    rows, into = screen.passing(generated.rows), bench.work / shelf.POOL_ROWS
    try:
        made = pool_of(rows, into=into, key=step.ref, form=pool.form, source=f"what {part.name} made")
    except UsageError:
        if screen.num_passed:
            raise
        raise SftbenchError(
            f"generator {part.name} made no row that could be kept; {screen.num_repeats} repeat held-out rows; its "
            f"report: {dict(generated.report)}"
        ) from None
    shelf.save_pool_form(made, bench.work)
    if screen.num_repeats:
        desk.log(f"{screen.num_repeats} new rows repeat held-out rows and were left out")
    is_short = len(made) < (generated.num_wanted or 0)
    if is_short:
        desk.log(f"made {len(made)} of {generated.num_wanted} rows wanted{_why_not(generated.report)}")
    return {
        "num_rows": len(made),
        "form": made.form,
        "status": "short" if is_short else "full",
        "num_wanted": generated.num_wanted,
        "num_new": screen.num_new,
        "num_repeating_heldout": screen.num_repeats,
        "report": dict(generated.report),
    }


def _why_not(report: Mapping[str, Json]) -> str:
    """The reasons by which a generator rejected most, when it tells them under `rejected`."""
    told = report.get("rejected")
    named = told.items() if isinstance(told, Mapping) else ()
    counts = {name: count for name, count in named if isinstance(count, int)}
    most = sorted(counts, key=lambda name: (-counts[name], name))[:4]
    return f"; rejected: {', '.join(f'{counts[name]} {name}' for name in most)}" if most else ""


def _narrow(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """The rows of a selection as a pool, best first, for the method that chooses from them."""
    from sftbench.pools import pool_of

    pool = parent_pool(step, bench)
    selection = shelf.load_selection(bench.store.folder_of(step.parents["selection"]))
    rows = pool.take([pool.index_of[row_id] for row_id in selection.ids])
    made = pool_of(rows, into=bench.work / shelf.POOL_ROWS, key=step.ref, form=pool.form)
    shelf.save_pool_form(made, bench.work)
    return {"num_rows": len(made), "form": made.form}


def _score(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    pool = parent_pool(step, bench)
    part = _part(step, bench, "scorer")
    scores = check_scores(part.score(pool, desk), len(pool), part.name)
    shelf.save_scores(scores, pool.ids, bench.work)
    unscored = int(np.isnan(scores.values).sum())
    if unscored:
        desk.log(f"{unscored} of {len(pool)} rows have no score: {_counts(scores.reasons)}")
    payload: Payload = {"num_rows": len(pool), "num_unscored": unscored, "reasons": _counts(scores.reasons)}
    return {**payload, "notes": _counts(scores.notes), "report": dict(scores.report)}


def check_scores(scores: Scores, num_rows: int, name: str) -> Scores:
    """Hold a scorer to its contract: one number per row, NaN only with a reason, never infinite.

    An infinite score becomes NaN with the reason `non_finite`, so that it enters no ranking.
    """
    values = np.asarray(scores.values, dtype=np.float64)
    if values.shape != (num_rows,):
        raise ContractError(f"scorer {name} gave {values.shape} scores for {num_rows} rows; it must give one per row")
    reasons = dict(scores.reasons)
    for index in np.flatnonzero(np.isinf(values)):
        reasons[int(index)] = "non_finite"
    values = np.where(np.isinf(values), np.nan, values)
    silent = [int(index) for index in np.flatnonzero(np.isnan(values)) if int(index) not in reasons]
    if silent:
        raise ContractError(f"scorer {name} gave no score and no reason for {len(silent)} rows, first at {silent[0]}")
    unscored = [reason for reason in reasons.values() if reason not in ("above_cut", "below_cut")]
    if num_rows and len(unscored) > 0.5 * num_rows:
        raise SftbenchError(
            f"scorer {name} could not score {np.isnan(values).sum()} of {num_rows} rows: {_counts(reasons)}; "
            "a ranking of the rest would not be a choice from this pool"
        )
    return Scores(values=values, reasons=reasons, notes=scores.notes, columns=scores.columns, report=scores.report)


def _select(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    pool = parent_pool(step, bench)
    part = _part(step, bench, "selector")
    scores = _scores(step, bench)
    given = _allowance(step, bench)
    selection = part.select(pool, scores, given, desk)
    positions = check_selection(selection, pool, f"selector {part.name}")
    enforce(positions, given)
    if given.pays_for_selection:
        # What the selector itself has used is known only now; what no longer fits goes, worst first.
        fitting = _allowance(step, bench, also=bench.meter.ledger()).fit(positions)
        selection = selection.beginning(len(fitting))
        check_selection(selection, pool, f"selector {part.name}")
    selection = _short_if_less(selection, step, bench, given)
    shelf.save_selection(selection, bench.work)
    payload: Payload = {"status": selection.status, "report": dict(selection.report)}
    return {**payload, **count_planted(selection, pool, _lengths(step, bench), desk)}


def _scores(step: Step, bench: Bench) -> Scores | None:
    """The scores of the method's scorer; without one, those with which a method before it ranked the rows."""
    if "scores" in step.parents:
        return shelf.load_scores(bench.store.folder_of(step.parents["scores"]))
    if "before" not in step.parents:
        return None
    before = shelf.load_selection(bench.store.folder_of(step.parents["before"]))
    if before.scores is not None and np.isfinite(before.scores).all():
        return Scores(values=before.scores)
    return Scores(values=-np.arange(len(before.ids), dtype=np.float64), report={"scores": "rank, negative"})


def check_selection(selection: Selection, pool: Pool, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Hold who chooses to the contract: rows of the pool, none twice, labels and scores in step; their positions."""
    if not selection.ids:
        raise SftbenchError(f"{name} chose no row: {dict(selection.report)}")
    unknown = [row_id for row_id in selection.ids if row_id not in pool.index_of]
    if unknown:
        raise ContractError(f"{name} chose {len(unknown)} ids that the pool does not have, such as '{unknown[0]}'")
    if len(set(selection.ids)) != len(selection.ids):
        raise ContractError(f"{name} chose {len(selection.ids) - len(set(selection.ids))} rows more than once")
    for what, values in (("scores", selection.scores), ("token labels", selection.token_labels)):
        if values is not None and len(values) != len(selection.ids):
            raise ContractError(f"{name} gave {len(values)} {what} for {len(selection.ids)} rows")
    return np.array([pool.index_of[row_id] for row_id in selection.ids], dtype=np.int64)


def _lengths(step: Step, bench: Bench) -> Mapping[str, np.ndarray[Any, Any]]:
    return load_arrays(bench.store.folder_of(step.parents["lengths"]) / "lengths.safetensors")


def _allowance(step: Step, bench: Bench, *, also: Ledger | None = None) -> Allowance:
    """What a step may take that chooses rows, after what choosing has cost so far, and `also`."""
    lengths = _lengths(step, bench)
    count = len(lengths["training_tokens"])
    wanted = step.identity["budget"]
    if wanted == "all" or not isinstance(wanted, Mapping):
        return Allowance(cap=float(count), row_costs=np.ones(count), unit="rows")
    budget = Budget.from_identity(wanted)
    spent = [bench.store.ended(ref) for ref in step.where.get("choosing_steps", "").split()]
    ledgers = [record.ledger for record in spent] + ([also] if also else [])
    passes = step.number("training_passes") if budget.counts_work else 0.0
    prices = RowPrices.of(lengths, training_passes=passes, flops_per_second=_speed(step, bench))
    return allowance(
        budget,
        prices,
        num_rows_of_run=_num_rows_of_run(step, bench),
        spent_flops=sum(each.flops for each in ledgers),
        spent_seconds=sum(each.device_seconds for each in ledgers),
    )


def _short_if_less(selection: Selection, step: Step, bench: Bench, given: Allowance) -> Selection:
    """The selection, marked as short where there were fewer rows than were asked for."""
    if given.cap < _asked(step, bench) * (1 - 1e-9) and not given.pays_for_selection:
        return replace(selection, status="short")
    return selection


def _asked(step: Step, bench: Bench) -> float:
    """The budget of a selection in its unit, however many rows there are to choose from."""
    wanted = step.identity["budget"]
    if wanted == "all" or not isinstance(wanted, Mapping):
        return 0.0
    return Budget.from_identity(wanted).asked(_num_rows_of_run(step, bench))


def _num_rows_of_run(step: Step, bench: Bench) -> int:
    ref = step.parents.get("lengths_of_run", step.parents["lengths"])
    return len(load_arrays(bench.store.folder_of(ref) / "lengths.safetensors")["training_tokens"])


def _speed(step: Step, bench: Bench) -> float:
    if "calibration" not in step.parents:
        return 1.0
    payload = bench.store.ended(step.parents["calibration"]).payload
    return float(payload["training_flops_per_second"])  # type: ignore[arg-type]


def _train(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    part = _part(step, bench, "trainer")
    selection, pool = shelf.load_selection(bench.store.folder_of(step.parents["selection"])), parent_pool(step, bench)
    chooses: Chosen | None = getattr(part, "chooses", None)
    desk.given = _allowance(step, bench) if chooses == "rows" else None
    model = part.train(pool, selection, desk, bench.work / "model")
    if model.path != bench.work / "model" or not list(model.path.glob("*config.json")):
        raise ContractError(f"trainer {part.name} must leave a model in the folder that it is given, and say so")
    shelf.save_model(model, bench.work)
    payload: Payload = {"report": dict(model.report)}
    if chooses is None:
        return payload
    chosen = _chosen_in_training(part.name, model.selection, selection, pool)
    if desk.given is not None:
        _enforce_in_training(step, bench, chosen, pool, desk.given)
        chosen = _short_if_less(chosen, step, bench, desk.given)
    shelf.save_selection(chosen, bench.work)
    return {**payload, "status": chosen.status, **count_planted(chosen, pool, _lengths(step, bench), desk)}


def _chosen_in_training(name: str, chosen: Selection | None, given: Selection, pool: Pool) -> Selection:
    """Hold a trainer that chooses to the contract: it tells what it trained on, and that was given to it."""
    if chosen is None:
        raise ContractError(f"trainer {name} chooses what it trains on, so it must tell that in TrainedModel.selection")
    check_selection(chosen, pool, f"trainer {name}")
    foreign = set(chosen.ids) - set(given.ids)
    if foreign:
        raise ContractError(f"trainer {name} trained on {len(foreign)} rows not given to it, such as '{min(foreign)}'")
    return chosen


def _enforce_in_training(step: Step, bench: Bench, chosen: Selection, pool: Pool, given: Allowance) -> None:
    """Refuse a training over its allowance; where that is work, all that was done counts, not the rows alone."""
    enforce(np.array([pool.index_of[row_id] for row_id in chosen.ids], dtype=np.int64), given)
    if given.counts_work:
        done = bench.meter.ledger().flops / (_speed(step, bench) if given.unit == "device-seconds" else 1.0)
        enforce_total(done, given)


def _respond(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    from sftbench.answering import served_writer
    from sftbench.responding import answers_given, respond, respond_by

    told: Payload = {}
    heldout = parent_pool(step, bench)
    if step.identity.get("make") == "read":
        responses = answers_given(step, list(heldout))
    else:
        rows, limit = list(heldout), int(step.number("max_new_tokens"))
        num_turns = sum(row.num_open_turns for row in rows)
        if "answers" in step.where:
            with served_writer(step, desk) as writer, desk.progress(num_turns, "answer") as progress:
                responses = respond_by(writer.answer_rows, rows, max_new_tokens=limit, advance=progress.advance)
            told = {"answered": writer.told()}
        else:
            with desk.progress(num_turns, "answer") as progress:
                model = desk.language_model("trained")
                responses = respond(model, rows, max_new_tokens=limit, advance=progress.advance)
    shelf.save_responses(responses, bench.work)
    return {"num_responses": len(responses.texts), **told}


def _evaluate(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    part = _part(step, bench, "evaluator")
    ref = step.parents.get("responses")
    responses = shelf.load_responses(bench.store.folder_of(ref)) if ref else None
    heldout = parent_pool(step, bench)
    evaluation = part.evaluate(heldout, responses, desk)
    strangers = set() if getattr(part, "own_items", False) else set(evaluation.ids) - set(heldout.ids)
    if strangers:
        raise ContractError(f"evaluator {part.name} named items that are not held out, such as '{min(strangers)}'")
    for metric, values in evaluation.items.items():
        ids = evaluation.ids_of.get(metric, evaluation.ids)
        if len(values) != len(ids):
            raise ContractError(f"evaluator {part.name} gave {len(values)} values of {metric} for {len(ids)} items")
        if len(set(ids)) != len(ids):
            raise ContractError(f"evaluator {part.name} named an item of {metric} twice")
    named, directed = sorted([*evaluation.items, *evaluation.numbers]), sorted(evaluation.bigger_is_better)
    if named != directed:
        raise ContractError(f"evaluator {part.name} measured {named}, each once, but says what is better of {directed}")
    return shelf.evaluation_json(evaluation)


def _judge(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    part = _part(step, bench, "judge")
    both = [shelf.load_responses(bench.store.folder_of(step.parents[role])) for role in ("responses", "baseline")]
    verdicts = part.judge(parent_pool(step, bench), both[0], both[1], desk)
    finite = verdicts.preference[np.isfinite(verdicts.preference)]
    if len(verdicts.preference) != len(verdicts.ids) or ((finite < 0) | (finite > 1)).any():
        raise ContractError(f"judge {part.name} must give one preference between 0 and 1 per item")
    for column, values in verdicts.columns.items():
        if len(values) != (count := len(verdicts.ids)):
            raise ContractError(f"judge {part.name} gave {len(values)} values of {column} for {count} items")
    if step.identity.get("lengths") == "characters":
        verdicts = replace(verdicts, columns={**_lengths_of(verdicts, *both), **verdicts.columns})
    return shelf.verdicts_json(verdicts)


def _lengths_of(verdicts: Verdicts, model: Responses, baseline: Responses) -> dict[str, list[Json]]:
    """Characters of what was judged, all turns together, for a judge that does not tell."""
    found: dict[str, list[Json]] = {}
    for name, responses in (("length_model", model), ("length_baseline", baseline)):
        texts = dict(zip(responses.ids, responses.texts, strict=True))
        found[name] = [len(texts[at]) + sum(map(len, responses.earlier.get(at, ()))) for at in verdicts.ids]
    return found


def _counts(reasons: Mapping[int, str]) -> dict[str, Json]:
    counts: dict[str, int] = {}
    for reason in reasons.values():
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items()))
