"""Score or choose rows of a pool without training: what `bench score` and `bench select` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sftbench import shelf
from sftbench.budget import Budget
from sftbench.errors import SftbenchError, UsageError
from sftbench.methods import resolve, resolve_recipes
from sftbench.parameters import parse_use
from sftbench.plan import Plan, Planner, Ref, Terms, parents_first
from sftbench.plugins import Plugins
from sftbench.rooms import Pool, Scores, Selection
from sftbench.runner import Run, Watcher, carry_out, default_store
from sftbench.settings import RunSettings, check_settings
from sftbench.store import Store
from sftbench.survey import survey, window


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A selection, the pool it was made from, and its scores if it had any."""

    pool: Pool
    selection: Selection
    scores: Scores | None


def score_pool(
    use: str, *, pool: str, plugins: Plugins, watcher: Watcher, seed: int = 0, limit: int | None = None,
    lm: str | None = None, base: str | None = None, store: Path | None = None,
) -> tuple[Pool, Scores]:  # fmt: skip
    """Scores of every row by a scorer, such as `ifd[variant=super]`.

    Raises `UsageError` for unknown names and bad input; a row that cannot be scored is NaN with a reason.
    """
    wanted = parse_use(use)
    scorer = plugins.part("scorer", wanted)
    settings = _settings(pool, limit, lm, base)
    planner = _planner(settings, plugins, seed)
    needs = scorer.needs()
    lengths = {"lengths": planner.lengths} if needs.lengths else {}
    ref = planner.part_step(
        "scores", scorer, pool=planner.pool, seed=seed, parents=lengths, identity={},
        recipes=resolve_recipes(plugins, scorer, parse_use("sft")),
        where={"base": planner.facts.base.path} if lengths else {}, given=dict(wanted.parameters),
    )  # fmt: skip
    run = _carried_out(planner, ref, settings, plugins, watcher, store)
    folder = run.store.folder(*ref.split("/", 1))
    return _pool(run, planner.pool), shelf.load_scores(folder)


def select_rows(
    use: str, *, pool: str, budget: str, plugins: Plugins, watcher: Watcher, seed: int = 0, limit: int | None = None,
    lm: str | None = None, base: str | None = None, trainer: str = "sft", store: Path | None = None,
) -> Choice:  # fmt: skip
    """The rows that a method chooses from a pool under a budget, best first.

    Raises `UsageError` for unknown names, bad input and a budget above the pool.
    """
    method = resolve(plugins, parse_use(use), parse_use(trainer))
    if method.matched_to_each:
        raise UsageError(f"{method.name} is matched to another method's selection; it exists in 'bench run' only")
    settings = _settings(pool, limit, lm, base)
    planner = _planner(settings, plugins, seed)
    source = planner.pool if method.generator is None else planner.generated(method, seed=seed)
    ref = planner.selection(method, pool=source, budget=Budget.parse(budget), seed=seed)
    run = _carried_out(planner, ref, settings, plugins, watcher, store)
    scores_ref = planner.steps[ref].parents.get("scores")
    return Choice(
        pool=_pool(run, source),
        selection=shelf.load_selection(run.store.folder(*ref.split("/", 1))),
        scores=shelf.load_scores(run.store.folder(*scores_ref.split("/", 1))) if scores_ref else None,
    )


def _settings(pool: str, limit: int | None, lm: str | None, base: str | None) -> RunSettings:
    if lm is None and base is None:
        raise UsageError("--lm is missing: the model that scores rows, or whose tokenizer counts them")
    return check_settings({"methods": ["none"], "pool": pool, "limit": limit, "lm": lm, "base": base or lm})


def _planner(settings: RunSettings, plugins: Plugins, seed: int) -> Planner:
    """A planner over the whole pool: nothing is held out when nothing is evaluated."""
    facts = survey(settings, plugins)
    terms = Terms(
        budgets=(), seeds=(seed,), plant=0.0, heldout_share=0.0, heldout_at_most=1,
        max_length=min(window(facts.base.path), 2048), max_new_tokens=1, evals=(), judge=None,
    )  # fmt: skip
    return Planner(facts, terms)


def _carried_out(
    planner: Planner, ref: Ref, settings: RunSettings, plugins: Plugins, watcher: Watcher, store: Path | None
) -> Run:
    plan = Plan(
        cells=(),
        steps=parents_first(planner.steps, [ref]),
        pool=planner.pool,
        heldout=planner.heldout,
        lengths=planner.lengths,
    )
    place = Store(store or default_store())
    run = Run(
        name="", settings=replace_redo(settings), given={}, facts=planner.facts, terms=planner.terms, plan=plan,
        plugins=plugins, store=place, methods=(),
    )  # fmt: skip
    outcomes = carry_out(run, watcher)
    for each, step in plan.steps.items():
        record = place.find(*each.split("/", 1))
        if outcomes.get(each) != "done":
            failure = record.failure if record is not None else None
            error = SftbenchError(
                f"{step.label}: {failure.message if failure else 'its process died; see the log in the store'}"
            )
            error.exit_code = failure.exit_code if failure else 1
            raise error
    return run


def replace_redo(settings: RunSettings) -> RunSettings:
    """A choice made by hand tries again what failed before."""
    return settings.model_copy(update={"redo": "failed"})


def _pool(run: Run, ref: Ref) -> Pool:
    return shelf.load_pool(run.store.folder(*ref.split("/", 1)), ref)
