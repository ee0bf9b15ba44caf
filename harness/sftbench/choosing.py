"""Score or choose rows of a pool without training on them: what `bench score` and `bench select` do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench import errors, shelf
from sftbench.budget import Budget
from sftbench.composition import parse_method
from sftbench.errors import SftbenchError, UsageError
from sftbench.methods import parts_of, resolve, resolve_recipes
from sftbench.parameters import parse_use
from sftbench.plan import Plan, Ref, Step, Terms, parents_first
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.record import Record
from sftbench.rooms import Json, Pool, Scores, Selection
from sftbench.runner import Run, Watcher, carry_out, default_store, refuse_step_bounds, refuse_unpriced
from sftbench.serving.household import KeptServers
from sftbench.settings import RunSettings, check_settings
from sftbench.store import Store
from sftbench.survey import survey, window


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A selection, the pool it was made from, and its scores if it had any.

    Where a generator made the rows, `generated` is what it told.
    """

    pool: Pool
    selection: Selection
    scores: Scores | None
    generated: Mapping[str, Json] | None = None


def score_pool(
    use: str, *, pool: str, plugins: Plugins, watcher: Watcher, seed: int = 0, limit: int | None = None,
    lm: str | None = None, base: str | None = None, store: Path | None = None, embedder: str = "auto",
    chat: str | None = None, vllm: Path | None = None, concurrency: int | None = None,
) -> tuple[Pool, Scores]:  # fmt: skip
    """Scores of every row by a scorer, such as `ifd[variant=super]`.

    Raises `UsageError` for unknown names and bad input; a row that cannot be scored is NaN with a reason.
    """
    wanted = parse_use(use)
    scorer = plugins.part("scorer", wanted)
    settings = _settings(pool, limit, lm, base, seed, embedder, chat, vllm, concurrency)
    recipes = resolve_recipes(plugins, scorer, parse_use("sft"))
    planner = planner_of(settings, plugins, [scorer, *parts_of(recipes.values())], seed)
    needs = scorer.needs()
    lengths = {"lengths": planner.lengths} if needs.lengths else {}
    ref = planner.part_step(
        "scores", scorer, pool=planner.pool, seed=seed, parents=lengths, identity={},
        recipes=recipes, where={"base": planner.facts.base.path} if lengths else {}, given=dict(wanted.parameters),
    )  # fmt: skip
    run = carried_out(planner, ref, settings, plugins, watcher, store)
    folder = run.store.folder_of(ref)
    return _pool(run, planner.pool), shelf.load_scores(folder)


def select_rows(
    use: str, *, pool: str, budget: str, plugins: Plugins, watcher: Watcher, seed: int = 0, limit: int | None = None,
    lm: str | None = None, base: str | None = None, trainer: str = "sft", store: Path | None = None,
    embedder: str = "auto", chat: str | None = None, vllm: Path | None = None, concurrency: int | None = None,
) -> Choice:  # fmt: skip
    """The rows that a method chooses from a pool under a budget, best first.

    A method whose trainer chooses rows is trained for that; they come in the order of their first use.
    Raises `UsageError` for unknown names, bad input and a budget above the pool.
    """
    method, wanted = resolve(plugins, parse_method(use), parse_use(trainer)), Budget.parse(budget)
    refuse_step_bounds([wanted], [method])
    refuse_unpriced([wanted], [method], chat=chat)
    if method.matched_to_each:
        raise UsageError(f"{method.name} is matched to another method's selection; it exists in 'bench run' only")
    settings = _settings(pool, limit, lm, base, seed, embedder, chat, vllm, concurrency)
    planner = planner_of(settings, plugins, parts_of([method]), seed)
    source = planner.source(method, budget=wanted, seed=seed)
    ref = planner.choice(method, pool=source, budget=wanted, seed=seed)
    run = carried_out(planner, ref, settings, plugins, watcher, store)
    scores_ref = planner.steps[ref].parents.get("scores")
    made_ref = run.plan.generated_for(ref)
    return Choice(
        pool=_pool(run, source),
        selection=shelf.load_selection(run.store.folder_of(ref)),
        scores=shelf.load_scores(run.store.folder_of(scores_ref)) if scores_ref else None,
        generated=run.store.ended(made_ref).payload if made_ref else None,
    )


def _settings(
    pool: str, limit: int | None, lm: str | None, base: str | None, seed: int, embedder: str, chat: str | None,
    vllm: Path | None, concurrency: int | None,
) -> RunSettings:  # fmt: skip
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: at least one row must be read")
    if lm is None and base is None:
        raise UsageError("--lm is missing: the model that scores rows, or whose tokenizer counts them")
    # A choice made by hand tries again what failed before.
    given = {
        "methods": ["none"],
        "pool": pool,
        "limit_pool": limit,
        "lm": lm,
        "base": base or lm,
        "seeds": [seed],
        "redo": "failed",
        "embedder": embedder,
        "chat": chat,
        "vllm": vllm,
        "concurrency": concurrency,
    }
    return check_settings(given)


def planner_of(
    settings: RunSettings, plugins: Plugins, parts: Iterable[Any], seed: int, *, describe_tokens: int | None = None
) -> Planner:
    """A planner over the whole pool: nothing is held out when nothing is evaluated."""
    facts = survey(settings, plugins, parts)
    terms = Terms(
        budgets=(), seeds=(seed,), plant=0.0, heldout_share=0.0, heldout_at_most=1,
        max_length=min(window(facts.base.path), 2048), max_new_tokens=1, evals=(), judges={},
        describe_tokens=describe_tokens,
    )  # fmt: skip
    return Planner(facts, terms)


def carried_out(
    planner: Planner, ref: Ref, settings: RunSettings, plugins: Plugins, watcher: Watcher, store: Path | None,
    *, kept: KeptServers | None = None,
) -> Run:  # fmt: skip
    """Do what one step needs, and the step. Raises the error of the first that fails."""
    plan = Plan(
        cells=(),
        steps=parents_first(planner.steps, [ref]),
        pool=planner.pool,
        heldout=planner.heldout,
        lengths=planner.lengths,
    )
    place = Store(store or default_store())
    run = Run(
        name="", settings=settings, given={}, facts=planner.facts, terms=planner.terms, plan=plan,
        plugins=plugins, store=place, methods=(),
    )  # fmt: skip
    outcomes = carry_out(run, watcher, kept=kept)
    for each, step in plan.steps.items():
        record = place.record_of(each)
        if outcomes.get(each) != "done":
            raise _failed(step, record, place)
    return run


def _failed(step: Step, record: Record | None, store: Store) -> SftbenchError:
    """Why a step did not end, as an error; where to read more, if it is not a mistake that the user can mend."""
    failure = record.failure if record is not None else None
    if failure is None:
        return SftbenchError(f"{step.label}: its process died; see the logs in {store.root / 'logs'}")
    expected = issubclass(getattr(errors, failure.error, object), SftbenchError)
    kind = "" if expected else f"{failure.error}: "
    more = "" if expected else f" (traceback in {store.folder(step.room, step.key) / 'record.json'})"
    error = SftbenchError(f"{step.label}: {kind}{failure.message}{more}")
    error.exit_code = failure.exit_code
    return error


def _pool(run: Run, ref: Ref) -> Pool:
    return shelf.load_pool(run.store.folder_of(ref), ref)
