"""Do one step: read its parents, call its part, write what came of it. The only place that calls parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.arrays import load_arrays
from sftbench.bench import Bench, parent_pool
from sftbench.budget import Budget, RowPrices, allowance, enforce
from sftbench.desk import WorkingDesk
from sftbench.errors import ContractError, SftbenchError
from sftbench.ledger import Ledger
from sftbench.parameters import PartUse
from sftbench.plan import Step
from sftbench.planted import count_planted
from sftbench.prepare import calibrate, embed_pool, make_pool, measure_lengths, run_pass
from sftbench.roles import Allowance
from sftbench.rooms import Json, Pool, Scores, Selection

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
        "scores": _score,
        "selection": _select,
        "model": _train,
        "responses": _respond,
        "evaluation": _evaluate,
        "verdicts": _judge,
    }[step.room]
    return doer(step, bench, desk)


def _part(step: Step, bench: Bench, role: str) -> Any:
    parameters = step.identity.get("parameters")
    name = str(step.identity["part"]).rpartition("@")[0]
    given: Mapping[str, Json] = parameters if isinstance(parameters, Mapping) else {}
    part = bench.plugins.part(role, PartUse(name=name, parameters=given))
    if f"{part.name}@{part.version}" != step.identity["part"]:
        raise SftbenchError(f"planned with {step.identity['part']}, but {part.name}@{part.version} is installed now")
    return part


def _generate(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    from sftbench.pools import pool_of

    pool = parent_pool(step, bench)
    part = _part(step, bench, "generator")
    rows = part.generate(pool, desk)
    made = pool_of(
        rows, into=bench.work / shelf.POOL_ROWS, key=step.ref, form=pool.form, source=f"what {part.name} made"
    )
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
    unscored = [reason for reason in reasons.values() if reason != "above_cut"]
    if num_rows and len(unscored) > 0.5 * num_rows:
        raise SftbenchError(
            f"scorer {name} could not score {np.isnan(values).sum()} of {num_rows} rows: {_counts(reasons)}; "
            "a ranking of the rest would not be a choice from this pool"
        )
    return Scores(values=values, reasons=reasons, notes=scores.notes, columns=scores.columns, report=scores.report)


def _select(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    pool = parent_pool(step, bench)
    part = _part(step, bench, "selector")
    scores_ref = step.parents.get("scores")
    scores = shelf.load_scores(bench.store.folder_of(scores_ref)) if scores_ref else None
    given = _allowance(step, bench)
    selection = part.select(pool, scores, given, desk)
    positions = check_selection(selection, pool, part.name)
    enforce(positions, given)
    if given.pays_for_selection:
        # What the selector itself has used is known only now; what no longer fits goes, worst first.
        fitting = _allowance(step, bench, also=bench.meter.ledger()).fit(positions)
        selection = selection.beginning(len(fitting))
        check_selection(selection, pool, part.name)
    shelf.save_selection(selection, bench.work)
    payload: Payload = {"status": selection.status, "report": dict(selection.report)}
    return {**payload, **count_planted(selection, pool, _lengths(step, bench), desk)}


def check_selection(selection: Selection, pool: Pool, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Hold a selector to its contract: rows of the pool, none twice, labels and scores in step; their positions."""
    if not selection.ids:
        raise SftbenchError(f"selector {name} chose no row: {dict(selection.report)}")
    unknown = [row_id for row_id in selection.ids if row_id not in pool.index_of]
    if unknown:
        raise ContractError(
            f"selector {name} chose {len(unknown)} ids that the pool does not have, such as '{unknown[0]}'"
        )
    if len(set(selection.ids)) != len(selection.ids):
        raise ContractError(f"selector {name} chose {len(selection.ids) - len(set(selection.ids))} rows more than once")
    for what, values in (("scores", selection.scores), ("token labels", selection.token_labels)):
        if values is not None and len(values) != len(selection.ids):
            raise ContractError(f"selector {name} gave {len(values)} {what} for {len(selection.ids)} rows")
    return np.array([pool.index_of[row_id] for row_id in selection.ids], dtype=np.int64)


def _lengths(step: Step, bench: Bench) -> Mapping[str, np.ndarray[Any, Any]]:
    return load_arrays(bench.store.folder_of(step.parents["lengths"]) / "lengths.safetensors")


def _allowance(step: Step, bench: Bench, *, also: Ledger | None = None) -> Allowance:
    """What the selector may take, after what choosing has cost so far, and `also`."""
    lengths = _lengths(step, bench)
    count = len(lengths["training_tokens"])
    wanted = step.identity["budget"]
    if wanted == "all" or not isinstance(wanted, Mapping):
        return Allowance(cap=float(count), row_costs=np.ones(count), unit="rows")
    budget = Budget(amount=float(wanted["amount"]), unit=wanted["unit"], with_selection=bool(wanted["with_selection"]))  # type: ignore[arg-type]
    spent = [bench.store.ended(ref) for ref in step.where.get("choosing_steps", "").split()]
    ledgers = [record.ledger for record in spent] + ([also] if also else [])
    passes = step.number("training_passes") if budget.counts_work else 0.0
    prices = RowPrices.of(lengths, training_passes=passes, flops_per_second=_speed(step, bench))
    return allowance(
        budget,
        prices,
        spent_flops=sum(each.flops for each in ledgers),
        spent_seconds=sum(each.device_seconds for each in ledgers),
    )


def _speed(step: Step, bench: Bench) -> float:
    if "calibration" not in step.parents:
        return 1.0
    payload = bench.store.ended(step.parents["calibration"]).payload
    return float(payload["training_flops_per_second"])  # type: ignore[arg-type]


def _train(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    part = _part(step, bench, "trainer")
    selection = shelf.load_selection(bench.store.folder_of(step.parents["selection"]))
    model = part.train(parent_pool(step, bench), selection, desk, bench.work / "model")
    if model.path != bench.work / "model" or not list(model.path.glob("*config.json")):
        raise ContractError(f"trainer {part.name} must leave a model in the folder that it is given, and say so")
    shelf.save_model(model, bench.work)
    return {"report": dict(model.report)}


def _respond(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    from sftbench.engines.generate import generate_greedy
    from sftbench.rooms import Responses

    heldout = parent_pool(step, bench)
    limit = int(step.number("max_new_tokens"))
    rows = list(heldout)
    with desk.progress(len(rows), "answer") as progress:
        texts = generate_greedy(desk.language_model("trained"), rows, max_new_tokens=limit, advance=progress.advance)
    shelf.save_responses(Responses(ids=tuple(heldout.ids), texts=tuple(texts)), bench.work)
    return {"num_responses": len(texts)}


def _evaluate(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    part = _part(step, bench, "evaluator")
    ref = step.parents.get("responses")
    responses = shelf.load_responses(bench.store.folder_of(ref)) if ref else None
    evaluation = part.evaluate(parent_pool(step, bench), responses, desk)
    strangers = set(evaluation.ids) - set(parent_pool(step, bench).ids)
    if strangers:
        raise ContractError(f"evaluator {part.name} named items that are not held out, such as '{min(strangers)}'")
    for metric, values in evaluation.items.items():
        if len(values) != len(evaluation.ids):
            raise ContractError(
                f"evaluator {part.name} gave {len(values)} values of {metric} for {len(evaluation.ids)} items"
            )
    return shelf.evaluation_json(evaluation)


def _judge(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    part = _part(step, bench, "judge")
    both = [shelf.load_responses(bench.store.folder_of(step.parents[role])) for role in ("responses", "baseline")]
    verdicts = part.judge(parent_pool(step, bench), both[0], both[1], desk)
    finite = verdicts.preference[np.isfinite(verdicts.preference)]
    if len(verdicts.preference) != len(verdicts.ids) or ((finite < 0) | (finite > 1)).any():
        raise ContractError(f"judge {part.name} must give one preference between 0 and 1 per item")
    return shelf.verdicts_json(verdicts)


def _counts(reasons: Mapping[int, str]) -> dict[str, Json]:
    counts: dict[str, int] = {}
    for reason in reasons.values():
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items()))
