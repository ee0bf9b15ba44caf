"""Walk a plan through the rooms: what is in the store is loaded, what is missing is made, what fails is recorded."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sftbench.arrays import load_arrays
from sftbench.budget import Budget, RowPrices, allowance
from sftbench.chat import REFUSED
from sftbench.composition import parse_method
from sftbench.contamination import COSINES
from sftbench.devices import num_processes, num_threads, visible_gpus
from sftbench.errors import SftbenchError, UsageError, unknown_name
from sftbench.executors.local import LocalExecutor, Outcome, Slots
from sftbench.fingerprint import user_cache
from sftbench.judging.naming import refuse_unasked
from sftbench.jury import judges_of
from sftbench.methods import ResolvedMethod, parts_of, resolve
from sftbench.parameters import PartUse, fields_of, parse_use
from sftbench.placing import Places, labels_told, places_of
from sftbench.plan import CONCURRENCY, Facts, Likeness, Plan, Ref, Step, Terms
from sftbench.planner import make_plan
from sftbench.plugins import Plugins
from sftbench.pools.words import NUM_WORDS
from sftbench.prompting import prompt_suite_of
from sftbench.record import Record
from sftbench.reporting import Event
from sftbench.rooms import Json
from sftbench.serving.fitting import refuse_unfit
from sftbench.serving.household import KeptServers, served
from sftbench.settings import Contamination, Redo, RunSettings
from sftbench.store import Store
from sftbench.survey import embedder_facts, survey, window

STANDARD_CONTROLS = ("base", "full", "random", "longest", "random-lengths", "random-tokens")
BASELINE = "random"
"""What answers are judged against unless something else is named."""
YARDSTICKS = ("base", "full", "random")
ALL_CONTROLS = (*STANDARD_CONTROLS, "random-compute")


class Watcher(Protocol):
    """Who is told what happens: the terminal, or nobody."""

    def planned(self, num_steps: int, num_known: int) -> None: ...
    def event(self, step: Step, event: Event) -> None: ...
    def ended(self, step: Step, outcome: Outcome, why: str, record: Record | None) -> None: ...


@dataclass
class Heard:
    """How many steps observers were told of, and what they failed over: each complaint is passed on once."""

    num_ended: int = 0
    complaints: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A plan with all that is needed to carry it out."""

    name: str
    settings: RunSettings
    given: Mapping[str, Any]
    facts: Facts
    terms: Terms
    plan: Plan
    plugins: Plugins
    store: Store
    methods: tuple[ResolvedMethod, ...]
    heard: Heard = field(default_factory=Heard)

    @cached_property
    def places(self) -> Places:
        """How its settings are told in records."""
        return places_of(self.facts)

    @cached_property
    def labels(self) -> dict[str, str]:
        """How the rows of its plan are called in records, by their labels."""
        return labels_told((cell.label for cell in self.plan.cells), self.places)

    @property
    def board_folder(self) -> Path:
        """Where the board goes."""
        return self.settings.board or Path("leaderboards") / self.name


def prepare(settings: RunSettings, given: Mapping[str, Any], plugins: Plugins) -> Run:
    """Check every name and setting, look at the inputs, and plan. Nothing is run."""
    for observer in settings.observers:
        if observer not in plugins.observers:
            raise unknown_name("observer", observer, plugins.observers)
    trainer = parse_use(settings.trainer)
    plugins.part("trainer", trainer)
    methods = _methods(settings, plugins, trainer)
    evals = tuple(_evaluator(use, plugins, settings) for use in _each_once(map(parse_use, settings.evals), plugins))
    suite = prompt_suite_of(settings, plugins)
    judges = judges_of(
        settings.judge, plugins, suite, given="judge" in given or "judge" in (suite.defaults if suite else ())
    )
    refuse_unasked([*evals, *judges.values()], chat=settings.chat)
    budgets = tuple(dict.fromkeys(Budget.parse(text) for text in settings.budget))
    refuse_step_bounds(budgets, methods)
    refuse_unpriced(budgets, methods, chat=settings.chat)
    facts = survey(settings, plugins, [*parts_of(methods), *evals, *judges.values()])
    refuse_unmeasured(facts, methods, settings, judges)
    max_new_tokens = _max_new_tokens(settings, given, facts)
    refuse_short_window(facts, max_new_tokens)
    if facts.answering is not None:
        options, given_as = facts.answering.options, f"--answers {settings.answers}"
        refuse_unfit(options, Path(facts.base.path), text=given_as, num_gpus=len(visible_gpus()))
    terms = Terms(
        budgets=budgets,
        seeds=tuple(dict.fromkeys(settings.seeds)),
        plant=settings.plant,
        heldout_share=settings.heldout_share,
        heldout_at_most=settings.heldout_at_most,
        max_length=settings.max_length or min(window(facts.base.path), 2048),
        max_new_tokens=max_new_tokens,
        evals=evals,
        judges=judges,
        baseline=settings.baseline or BASELINE,
        describe=tuple(dict.fromkeys(settings.describe)),
        describe_tokens=settings.describe_tokens,
        contamination=likeness_of(settings.contamination),
    )
    return Run(
        name=settings.name or _default_name(facts),
        settings=settings,
        given=given,
        facts=facts,
        terms=terms,
        plan=make_plan(facts, terms, methods),
        plugins=plugins,
        store=Store(settings.store or default_store()),
        methods=tuple(methods),
    )


OF_THE_RUN = ("limit", "task_data", "allow_code_execution")
"""Settings that evaluators with a field of that name get, unless the user gave them another value there."""


def _each_once(uses: Iterable[PartUse], plugins: Plugins) -> list[PartUse]:
    """Records and boards know an evaluator by its name: raises `UsageError` for a second of that name."""
    found: dict[str, PartUse] = {}
    for use in uses:
        if use.name in found:
            has_tasks = "tasks" in fields_of(plugins.part_class("evaluator", use.name))
            way = "join its tasks by '+'" if has_tasks else "leave one away, or make a run (--name) for each"
            raise UsageError(
                f"--evals names {use.name} twice ({found[use.name]} and {use}, those of the suite included); {way}"
            )
        found[use.name] = use
    return list(found.values())


def _evaluator(use: PartUse, plugins: Plugins, settings: RunSettings) -> Any:
    """An evaluator as named, with what the run says filled in."""
    part = plugins.part("evaluator", use)
    if "allow_code_execution" in use.parameters:
        raise UsageError(f"{use}: code that a model wrote is run with --allow-code-execution true only")
    open_fields = [name for name in OF_THE_RUN if name in fields_of(type(part)) and name not in use.parameters]
    values = {name: _plain(getattr(settings, name)) for name in open_fields}
    return replace(part, **{name: value for name, value in values.items() if value is not None})


def _plain(value: Any) -> Any:
    return os.path.abspath(value) if isinstance(value, Path) else value


def _max_new_tokens(settings: RunSettings, given: Mapping[str, Any], facts: Facts) -> int:
    """As given; a suite of prompts says how long answers may be for models with a long window: at most half of it."""
    if facts.prompts is None or "max_new_tokens" in given:
        return settings.max_new_tokens
    return max(1, min(settings.max_new_tokens, window(facts.base.path) // 2))


def refuse_short_window(facts: Facts, max_new_tokens: int) -> None:
    """Models that are served with too short a window for what they are to write."""
    longest = facts.answering.options.max_model_len if facts.answering else None
    if longest is not None and longest <= max_new_tokens:
        raise UsageError(
            f"--answers {facts.answering}: max_model_len holds prompt and answer, and --max-new-tokens "
            f"{max_new_tokens} leave no room for a prompt"
        )


def refuse_unmeasured(
    facts: Facts, methods: Sequence[ResolvedMethod], settings: RunSettings, judges: Mapping[str, Any]
) -> None:
    """A baseline that nobody is, and a suite of prompts of which nothing would be told."""
    known = {name for method in methods for name in (method.name, method.label)}
    wanted = settings.baseline or BASELINE
    is_missing = facts.answers is None and wanted not in known
    if is_missing and (settings.baseline is not None or (facts.prompts is not None and judges)):
        raise UsageError(
            f"--baseline {wanted} is no method of this run ({', '.join(sorted(known))}): name one of them, a file of "
            "answers, or reference"
        )
    if facts.prompts is not None and not judges and not settings.evals:
        raise UsageError(f"nothing would be measured on the prompts of {facts.prompts.suite}: give --judge or --evals")


def likeness_of(contamination: Contamination) -> Likeness | None:
    """How a run looks for held-out items in its pool, by the setting of that name.

    Embeddings are those of the packaged encoder, whatever the run's is: the threshold is one that was measured for it.
    """
    if contamination == "none":
        return None
    embedder = embedder_facts("minilm") if contamination == "all" else None
    return Likeness(num_words=NUM_WORDS, embedder=embedder, cosine=COSINES["minilm"])


def refuse_step_bounds(budgets: Sequence[Budget], methods: Sequence[ResolvedMethod]) -> None:
    """With a fixed number of steps a row has no price, and a budget of work could not be kept."""
    counting = [budget for budget in budgets if budget.counts_work]
    bound = [method for method in methods if method.trains and not method.ignores_budget]
    for trainer in {method.trainer for method in bound if counting}:
        if getattr(trainer, "min_steps", 1) > 1 or getattr(trainer, "max_steps", None) is not None:
            raise UsageError(
                f"a budget of {counting[0]} cannot be kept with min_steps or max_steps of {trainer.name}: the work "
                "would not depend on the rows; give epochs, or a budget in rows"
            )


def refuse_unpriced(budgets: Sequence[Budget], methods: Sequence[ResolvedMethod], *, chat: str | None) -> None:
    """What a language model behind an endpoint spends is not known, and its answers may be kept from another run.

    A budget that pays for choosing would take them to be free.
    """
    paying = [budget for budget in budgets if budget.with_selection]
    for method in methods if chat and paying else ():
        if method.trains and not method.ignores_budget and any(part.needs().chat for part in parts_of([method])):
            raise UsageError(
                f"a budget of {paying[0]} cannot be kept by {method.label} with --chat: what the language model spends "
                "is not known; leave '+selection' or --chat away"
            )


def _default_name(facts: Facts) -> str:
    names = dict.fromkeys((facts.pool_name, facts.base.name, *([facts.prompts.suite] if facts.prompts else [])))
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in "-".join(names))


def _methods(settings: RunSettings, plugins: Plugins, trainer: PartUse) -> list[ResolvedMethod]:
    """The methods asked for, then the controls that are not among them."""
    uses = [parse_method(text) for text in settings.methods]
    asked = [resolve(plugins, use, trainer) for use in {str(use): use for use in uses}.values()]
    names = {"none": (), "standard": STANDARD_CONTROLS, "all": ALL_CONTROLS}[settings.controls]
    already = {method.label for method in asked}
    controls = [resolve(plugins, PartUse(name=name), trainer) for name in names if name not in already]
    return [_compared(method) for method in asked] + controls


def _compared(method: ResolvedMethod) -> ResolvedMethod:
    """A control that was asked for by name and can win is compared like a method, and gets matched controls itself."""
    is_yardstick = method.name in YARDSTICKS or method.matched_to_each
    return method if is_yardstick else replace(method, control=False)


def default_store() -> Path:
    """`SFTBENCH_STORE`, or a folder in the user's cache."""
    named = os.environ.get("SFTBENCH_STORE")
    return Path(named) if named else user_cache()


def known_outcomes(plan: Plan, store: Store, redo: Redo) -> tuple[dict[Ref, Outcome], frozenset[Ref]]:
    """What the store already has, and what is to be made again."""
    found = {ref: store.find(step.room, step.key) for ref, step in plan.steps.items()}
    known = {ref: record.status for ref, record in found.items() if record is not None and not _passing(record)}
    if redo == "always":
        return {}, frozenset(ref for ref, record in found.items() if record is not None)
    if redo == "failed":
        again = frozenset(
            ref for ref, record in found.items() if record is not None and (record.status == "failed" or _lacks(record))
        )
        return {ref: status for ref, status in known.items() if ref not in again}, again
    return dict(known), frozenset(ref for ref, record in found.items() if record is not None and ref not in known)


def _lacks(record: Record) -> bool:
    """Whether requests of a judge or evaluator failed at the server: they are no answers, and all others are kept.

    Nothing rests on such a step but results; rows that were chosen or made from what there was are not chosen anew.
    """
    asked = [each for each in record.payload.values() if isinstance(each, Mapping)]
    return record.room in ("verdicts", "evaluation") and any(REFUSED in each for each in asked)


def _passing(record: Record) -> bool:
    """A failure of the machine and not of the step: no memory, no disk, no hub. It is tried again by itself."""
    failure = record.failure
    return failure is not None and (failure.exit_code == 4 or failure.error in ("MemoryError", "OutOfMemoryError"))


def announce(run: Run, watcher: Watcher, *, only: Callable[[Step], bool] = lambda step: True) -> None:
    """Tell how many steps there are, and how many of them the store has."""
    known, _ = known_outcomes(run.plan, run.store, run.settings.redo)
    refs = [ref for ref, step in run.plan.steps.items() if only(step)]
    watcher.planned(len(refs), sum(ref in known for ref in refs))


def carry_out(
    run: Run,
    watcher: Watcher,
    *,
    only: Callable[[Step], bool] = lambda step: True,
    ended_before: Mapping[Ref, Outcome] | None = None,
    kept: KeptServers | None = None,
) -> dict[Ref, Outcome]:
    """Do what is missing, and return the outcome of every step that was reached.

    In a run of several parts each is told what ended before it, which is not done again, and `announce` comes first.
    Servers that are `kept` outlast this part.
    """
    known, redo = known_outcomes(run.plan, run.store, run.settings.redo)
    if ended_before is None:
        announce(run, watcher, only=only)
    else:
        known, redo = {**known, **ended_before}, redo - set(ended_before)
    steps = {ref: _placed(run, step) for ref, step in run.plan.steps.items() if only(step)}
    if run.settings.redo == "never" or all(ref in known for ref in steps):
        return known

    def ended(step: Step, outcome: Outcome, why: str) -> None:
        record = run.store.find(step.room, step.key)
        if record is not None:
            _tell_observers(run, step, record, watcher)
        watcher.ended(step, outcome, why, record)

    slots = local_slots(run.settings.workers)
    logs = run.store.root / "logs"
    with served(steps, known, logs / run.name, vllm=run.settings.vllm, kept=kept) as house:

        def ended_and_told(step: Step, outcome: Outcome, why: str) -> None:
            ended(step, outcome, why)
            house.ended(step, outcome)

        executor = LocalExecutor(
            store=run.store.root,
            slots=slots,
            logs=logs,
            provenance=provenance(run, slots),
            on_event=watcher.event,
            on_end=ended_and_told,
            redo=redo,
            on_begin=house.begins,
            environment=house.environment,
        )
        return executor.run(steps, {ref: known[ref] for ref in steps if ref in known})


def exit_code_of(run: Run, outcomes: Mapping[Ref, Outcome], *, num_failed: int) -> int:
    """0 when no cell failed; what the failure asks for when all cells failed for one kind of reason; else 1."""
    if not num_failed:
        return 0
    records = [run.store.record_of(ref) for ref, outcome in outcomes.items() if outcome == "failed"]
    codes = {record.failure.exit_code for record in records if record is not None and record.failure is not None}
    return codes.pop() if len(codes) == 1 and num_failed == len(run.plan.cells) else 1


def first_failure(run: Run, outcomes: Mapping[Ref, Outcome], stage: str) -> SftbenchError | None:
    """The first failure of a stage, as the error it was."""
    for ref, step in run.plan.steps.items():
        record = run.store.record_of(ref) if outcomes.get(ref) == "failed" else None
        if step.stage == stage and record is not None and record.failure is not None:
            error = SftbenchError(record.failure.message)
            error.exit_code = record.failure.exit_code
            return error
    return None


def _tell_observers(run: Run, step: Step, record: Record, watcher: Watcher) -> None:
    """Whoever only looks on must not end the work of others: what goes wrong is a line in the log."""
    heard = run.heard
    heard.num_ended += 1
    about: dict[str, Json] = {
        "name": run.name,
        "step": step.label,
        "num_ended": heard.num_ended,
        "observers": list(run.settings.observers),
        "observer_folder": str(run.settings.observer_folder),
    }
    for problem in run.plugins.observe(_as_json(record), about):
        if problem not in heard.complaints:
            heard.complaints.add(problem)
            message = f"a plugin failed on hearing that '{step.label}' ended: {problem}"
            watcher.event(step, {"event": "log", "message": message})


def _as_json(record: Record) -> dict[str, Json]:
    loaded: dict[str, Json] = json.loads(record.to_json())
    return loaded


def _placed(run: Run, step: Step) -> Step:
    """Tell a step what it must know and is no part of its identity: with a budget, where to find what choosing has cost
    so far; how much to ask of a language model at a time; where models are served for their answers, for how large
    adapters."""
    where = dict(step.where)
    if step.stage == "answer":
        ranks = [rank for method in run.methods if isinstance(rank := getattr(method.trainer, "rank", 0), int)]
        where["lora_rank"] = str(max(ranks, default=0))
    if "budget" in step.identity:
        where["choosing_steps"] = " ".join(ref for ref in run.plan.cost_of_choosing(step.ref) if ref != step.ref)
        if "other" in step.parents:
            where["other_steps"] = " ".join(run.plan.cost_of_choosing(step.parents["other"]))
    if (step.asks or step.stage == "answer") and run.settings.concurrency is not None:
        where[CONCURRENCY] = str(run.settings.concurrency)
    return step if where == step.where else replace(step, where=where)


def local_slots(workers: int | None) -> Slots:
    """One process per GPU; on a CPU up to four, with the cores shared out."""
    return Slots(num_workers=num_processes(workers), num_threads=num_threads(workers), devices=visible_gpus())


def provenance(run: Run, slots: Slots) -> dict[str, Json]:
    """What the numbers were made with."""
    packages = (
        "sftbench",
        "torch",
        "transformers",
        "peft",
        "accelerate",
        "datasets",
        "tokenizers",
        "numpy",
        "scikit-learn",
    )
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "num_threads": slots.num_threads,
        "device": run.facts.device,
        "processor": run.facts.processor,
        "packages": {name: _version(name) for name in packages},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def is_preparing(step: Step) -> bool:
    """Reading and measuring of the inputs, which come before everything else."""
    return step.stage == "prepare"


def require_places(run: Run) -> None:
    """Fail before any work if store, results or board cannot be written."""
    for what, folder in (("store", run.store.root), ("results", run.settings.results), ("board", run.board_folder)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as problem:
            raise UsageError(f"cannot write to {folder}: {problem.strerror}; choose another with --{what}") from None


def check_budgets(run: Run) -> None:
    """Hold every budget against the pool, once it has been read, before anything is spent on choosing.

    Raises `UsageError` for a budget above the pool and `BudgetError` for one that admits no row.
    """
    folder = run.store.folder_of(run.plan.lengths)
    if run.store.record_of(run.plan.lengths) is None:
        return
    lengths = load_arrays(folder / "lengths.safetensors")
    speeds = [run.store.record_of(ref) for ref, step in run.plan.steps.items() if step.room == "calibration"]
    speed = next((record.payload["training_flops_per_second"] for record in speeds if record is not None), 1.0)
    bound = [method for method in run.methods if not method.ignores_budget and not method.makes_rows]
    for budget in run.terms.budgets:
        for passes in {method.training_passes for method in bound if method.trains}:
            allowance(budget, RowPrices.of(lengths, training_passes=passes, flops_per_second=float(speed)))  # type: ignore[arg-type]
