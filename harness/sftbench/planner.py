"""From methods x budgets x seeds to cells and steps. Pure: nothing is read, run or written here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sftbench.budget import Budget
from sftbench.methods import ResolvedMethod
from sftbench.plan import (
    CONTAMINATION_VERSION,
    DIVERSITY_VERSION,
    ENGINE_VERSION,
    PLANT_VERSION,
    SCREEN_VERSION,
    SPLIT_VERSION,
    Facts,
    Likeness,
    ModelFacts,
    Plan,
    PlannedCell,
    Ref,
    Step,
    Terms,
    calibration,
    parents_first,
    part_identity,
    pass_role,
)
from sftbench.roles import Needs, PassRequest
from sftbench.rooms import Component, Json


class Planner:
    """Adds steps, each once, and puts cells together from them."""

    def __init__(self, facts: Facts, terms: Terms) -> None:
        self.facts, self.terms = facts, terms
        self.engine: dict[str, Json] = {"engine": ENGINE_VERSION, "device": facts.device}
        self.steps: dict[Ref, Step] = {}
        self.pool, self.heldout = self._pools()
        self.lengths = self._lengths(self.pool)

    def add(self, step: Step) -> Ref:
        self.steps.setdefault(step.ref, step)
        return step.ref

    def _pools(self) -> tuple[Ref, Ref]:
        facts, terms = self.facts, self.terms
        whole = self.add(
            Step(
                room="pool",
                label=f"read {facts.pool_name}",
                identity={"make": "read", **facts.pool_content},
                where=facts.pool_source,
            )
        )
        if facts.heldout_content is None and not terms.heldout_share:
            pool = heldout = whole
        elif facts.heldout_content is None:
            split: dict[str, Json] = {
                "share": terms.heldout_share,
                "at_most": terms.heldout_at_most,
                "version": SPLIT_VERSION,
            }
            parents = {"pool": whole}
            pool = self.add(
                Step(
                    room="pool",
                    label="split off held-out rows",
                    identity={"make": "candidates", **split},
                    parents=parents,
                )
            )
            heldout = self.add(
                Step(room="pool", label="held-out rows", identity={"make": "heldout", **split}, parents=parents)
            )
        else:
            pool = whole
            heldout = self.add(
                Step(
                    room="pool",
                    label="read held-out rows",
                    identity={"make": "read", **facts.heldout_content},
                    where=facts.heldout_source or {},
                )
            )
            # An embedded suite sees to that itself.
            if "suite" not in facts.heldout_content:
                apart: dict[str, Json] = {"make": "apart", "version": SPLIT_VERSION}
                apart |= {"by": "prompt"} if facts.prompts else {}
                parents = {"pool": whole, "heldout": heldout}
                pool = self.add(Step(room="pool", label="leave out held-out rows", identity=apart, parents=parents))
        if terms.plant:
            planted: dict[str, Json] = {"make": "planted", "share": terms.plant, "version": PLANT_VERSION}
            pool = self.add(
                Step(
                    room="pool",
                    label=f"plant defects in {terms.plant:.0%}",
                    identity=planted,
                    parents={"pool": pool},
                    where=facts.pool_source,
                )
            )
        return pool, heldout

    def _lengths(self, pool: Ref) -> Ref:
        base = self.facts.base
        return self.add(
            Step(
                room="lengths",
                label="row lengths",
                identity={"engine": ENGINE_VERSION, "base": base.fingerprint, "max_length": self.terms.max_length},
                parents={"pool": pool},
                where={"base": base.path},
            )
        )

    def forward_pass(self, request: PassRequest, pool: Ref) -> Ref:
        model = self.facts.scoring if request.model == "scoring" else self.facts.base
        return self.add(
            Step(
                room="pass",
                label=f"forward pass of {model.name} ({request.view}, {request.template})",
                identity={
                    **self.engine,
                    "view": request.view,
                    "template": request.template,
                    "model": model.fingerprint,
                    "max_length": self.terms.max_length if request.template == "training" else None,
                },
                parents={"pool": pool},
                where={"model": model.path},
            )
        )

    def embeddings(self, component: Component, pool: Ref, embedder: ModelFacts | None = None) -> Ref:
        embedder = embedder or self.facts.embedder
        return self.add(
            Step(
                room="embeddings",
                label=f"embeddings of {component} by {embedder.name}",
                identity={**self.engine, "component": component, "embedder": embedder.fingerprint},
                parents={"pool": pool},
                where={"embedder": embedder.path},
            )
        )

    def wanted(self, needs: Needs, pool: Ref) -> tuple[dict[str, Ref], dict[str, Json], dict[str, str]]:
        """Parents, identity and places for what a part needs."""
        parents: dict[str, Ref] = {}
        identity: dict[str, Json] = {}
        where: dict[str, str] = {}
        for request in needs.passes:
            parents[pass_role(request)] = self.forward_pass(request, pool)
        for component in needs.embeddings:
            parents[f"embeddings:{component}"] = self.embeddings(component, pool)
        if needs.embedder:
            identity["embedder"] = self.facts.embedder.fingerprint
            where["embedder"] = self.facts.embedder.path
        if needs.chat:
            # A name alone says nothing: each server may call another model by it.
            asked = self.facts.of_asked(self.facts.chat) if self.facts.chat else None
            identity["chat"] = asked.identity if asked else "stand-in"
            where |= {"chat": asked.where} if asked else {}
        for role, text in needs.asks.items():
            asked = self.facts.of_asked(text)
            identity[f"asks:{role}"], where[f"asks:{role}"] = asked.identity, asked.where
        for name in needs.language_models:
            model = self.facts.scoring if name == "scoring" else self.facts.base
            identity[f"model:{name}"] = model.fingerprint
            where[f"model:{name}"] = model.path
        for role, folder in needs.tokenizers.items():
            tokenizer = self.facts.tokenizers[folder]
            identity[f"tokenizer:{role}"] = tokenizer.fingerprint
            where[f"tokenizer:{role}"] = tokenizer.path
        for role, folder in needs.foreign_models.items():
            model = self.facts.foreign_models[folder]
            identity[f"model:{role}"] = model.fingerprint
            where[f"model:{role}"] = model.path
        for role, folder in needs.folders.items():
            found = self.facts.folders[folder]
            identity[f"folder:{role}"] = found.fingerprint
            where[f"folder:{role}"] = found.path
        for role, file in needs.files.items():
            identity[f"file:{role}"] = self.facts.files[file].fingerprint
            where[f"file:{role}"] = self.facts.files[file].path
        return parents, identity, where

    def part_step(
        self,
        room: str,
        part: Any,
        *,
        pool: Ref,
        seed: int,
        parents: Mapping[str, Ref],
        identity: Mapping[str, Json],
        recipes: Mapping[str, Any],
        where: Mapping[str, str],
        given: Mapping[str, Json],
        label: str = "",
    ) -> Ref:
        """A step in which one part works, with all that the part said it needs."""
        needs: Needs = part.needs().when(chat=self.facts.chat is not None)
        more_parents, more_identity, more_where = self.wanted(needs, pool)
        for name, resolved in ((name, recipes[name]) for name in needs.models):
            budget = Budget.parse(needs.models[name].budget)
            selection = self.selection(resolved, pool=pool, budget=budget, seed=seed)
            more_parents[f"model:{name}"] = self.model(
                resolved, selection=selection, pool=pool, budget=budget, seed=seed
            )
            # The model's key knows these rows already.
            more_where[f"selection:{name}"] = selection
            # A trained adapter is nothing without its base.
            more_where["base"] = self.facts.base.path
        if not part.deterministic:
            more_identity["seed"] = seed
        return self.add(
            Step(
                room=room,
                label=f"{room} of {label or part.name}" + ("" if part.deterministic else f", seed {seed}"),
                identity={**self.engine, **part_identity(part, self.facts), **identity, **more_identity},
                parents={"pool": pool, **parents, **more_parents},
                where={**where, **more_where},
                given=given,
            )
        )

    @property
    def kept_apart(self) -> dict[str, Ref]:
        """The held-out rows, for the screen that generated rows go through; nothing where nothing is held out."""
        nothing = self.facts.heldout_content is None and not self.terms.heldout_share
        return {} if nothing else {"heldout": self.heldout}

    def generated(self, method: ResolvedMethod, *, seed: int) -> Ref:
        """The rows that a method's generator makes of the run's pool."""
        return self.part_step(
            "generated",
            method.generator,
            pool=self.pool,
            seed=seed,
            parents=self.kept_apart,
            identity={"screen": SCREEN_VERSION},
            recipes=method.recipes["generator"],
            where={"base": self.facts.base.path},
            given=method.given,
        )

    def source(self, method: ResolvedMethod, *, budget: Budget, seed: int) -> Ref:
        """The rows that a method chooses from: the run's pool, what it makes of it, or what another leaves over."""
        if method.before is None:
            return self.pool if method.generator is None else self.generated(method, seed=seed)
        assert method.take is not None
        wider = self.source(method.before, budget=budget, seed=seed)
        chosen = self.choice(method.before, pool=wider, budget=method.take.of(budget), seed=seed)
        return self.add(
            Step(
                room="chosen",
                label=f"rows chosen by {method.before.label}, seed {seed}",
                identity={},
                parents={"pool": wider, "selection": chosen},
            )
        )

    def selection(
        self, method: ResolvedMethod, *, pool: Ref, budget: Budget, seed: int, other: PlannedCell | None = None
    ) -> Ref:
        label = cell_label(method, other)
        parents, identity = self._bounds(method, pool, budget=None if method.chooses == "rows" else budget)
        if method.scorer is None and method.before is not None:
            parents["before"] = self.steps[pool].parents["selection"]
        base = self.facts.base
        if method.scorer is not None:
            lengths = {"lengths": parents["lengths"]} if method.scorer.needs().lengths else {}
            parents["scores"] = self.part_step(
                "scores",
                method.scorer,
                pool=pool,
                seed=seed,
                parents=lengths,
                identity={},
                recipes=method.recipes["scorer"],
                where={"base": base.path} if lengths else {},
                given=method.given,
            )
        if other is not None:
            parents["other"] = other.chosen
            identity |= {
                "training_passes": method.training_passes,
                "training_passes_of_other": other.training_passes,
            }
        return self.part_step(
            "selection",
            method.selector,
            pool=pool,
            seed=seed,
            parents=parents,
            identity=identity,
            recipes=method.recipes["selector"],
            where={"base": base.path},
            given=method.given,
            label=label or method.label,
        )

    def _bounds(
        self, method: ResolvedMethod, pool: Ref, *, budget: Budget | None
    ) -> tuple[dict[str, Ref], dict[str, Json]]:
        """Parents and identity of a step that chooses rows within a budget; None admits everything."""
        parents: dict[str, Ref] = {"lengths": self.lengths if pool == self.pool else self._lengths(pool)}
        if budget is None:
            return parents, {"budget": "all"}
        if pool != self.pool:
            # A share is one of the run's pool, and a method that has fewer rows to choose from takes them all.
            parents["lengths_of_run"] = self.lengths
            budget = replace(budget, at_most_all=True)
        identity: dict[str, Json] = {"budget": "all" if method.ignores_budget else budget.identity()}
        if budget.unit == "device-seconds":
            parents["calibration"] = self.add(calibration(self.facts))
        if budget.counts_work:
            identity["training_passes"] = method.training_passes
        return parents, identity

    def choice(self, method: ResolvedMethod, *, pool: Ref, budget: Budget, seed: int) -> Ref:
        """The step that tells which rows a method takes: its selection, or its training if that chooses them."""
        selection = self.selection(method, pool=pool, budget=budget, seed=seed)
        if method.chooses != "rows":
            return selection
        return self.model(method, selection=selection, pool=pool, budget=budget, seed=seed)

    def model(
        self, method: ResolvedMethod, *, selection: Ref, pool: Ref, budget: Budget, seed: int, label: str = ""
    ) -> Ref:
        base = self.facts.base
        parents, identity = self._bounds(method, pool, budget=budget) if method.chooses == "rows" else ({}, {})
        if method.chooses == "tokens":
            parents["lengths"] = self._lengths(pool)
        return self.part_step(
            "model",
            method.trainer,
            pool=pool,
            seed=seed,
            parents={"selection": selection, **parents},
            identity={"base": base.fingerprint, "max_length": self.terms.max_length, **identity},
            recipes=method.recipes["trainer"],
            where={"base": base.path},
            given=method.given,
            label=label or method.label,
        )

    def measured(self, model: Ref | None, *, label: str = "base") -> tuple[dict[str, Ref], Ref]:
        """Evaluations of a trained model (None: the base), and its responses."""
        base = self.facts.base
        parents = {"pool": self.heldout, **({"model": model} if model else {})}
        shared: dict[str, Json] = {
            **self.engine,
            "base": base.fingerprint,
            "max_length": self.terms.max_length,
        }
        where = {"base": base.path}
        served = self.facts.answering
        by: dict[str, Json] = {"answers": served.identity} if served else {}
        responses = self.add(
            Step(
                room="responses",
                label=f"answers of {label}",
                identity={**shared, "max_new_tokens": self.terms.max_new_tokens, **by},
                parents=parents,
                where={**where, "answers": served.of(base.path), "base_name": base.name} if served else where,
            )
        )
        evaluations = {}
        for part in self.terms.evals:
            wished, more_identity, more_where = self.wanted(part.needs(), self.heldout)
            mine = {**parents, **({"responses": responses} if part.generates else {}), **wished}
            identity = {**shared, **part_identity(part, self.facts), **more_identity}
            evaluations[part.name] = self.add(
                Step(
                    room="evaluation",
                    label=f"{part.name} of {label}",
                    identity=identity,
                    parents=mine,
                    where={**where, **more_where},
                )
            )
        return evaluations, responses

    def description(
        self, component: Component, *, pool: Ref, selection: Ref | None = None, bands: Ref | None = None,
        against: Ref | None = None, label: str = "", mode: str = "paper", seed: int = 42, kl_lm: bool = False,
    ) -> Ref:  # fmt: skip
        """How diverse the rows of a selection, or of a whole pool, are in one component.

        `bands` is the pool whose middle band of token types counts (default: the run's), `against` the real
        rows that the distance is taken from. A whole pool's embeddings are kept for others; those of a
        selection are not worth the whole pool's.
        """
        base = self.facts.base
        text: dict[str, Json] = {"component": component, "base": base.fingerprint, "diversity": DIVERSITY_VERSION}
        types = Step(
            room="types",
            label=f"token types of {component}",
            identity={"engine": ENGINE_VERSION, **text},
            parents={"pool": bands or self.pool},
            where={"base": base.path},
        )
        parents = {"pool": pool, "types": self.add(types)}
        embeddings = Needs(embeddings=(component,))
        if selection is not None:
            parents["selection"] = selection
        else:
            parents["embeddings"] = self.wanted(embeddings, pool)[0][f"embeddings:{component}"]
        if against is not None:
            parents["against"] = against
            parents["embeddings_against"] = self.wanted(embeddings, against)[0][f"embeddings:{component}"]
        terms: dict[str, Json] = {
            "token_budget": self.terms.describe_tokens,
            "mode": mode,
            "seed": seed,
            "kl_lm": kl_lm,
            "embedder": self.facts.embedder.fingerprint,
        }
        return self.add(
            Step(
                room="description",
                label=f"diversity of {component}" + (f", {label}" if label else ""),
                identity={**self.engine, **text, **terms},
                parents=parents,
                where={"base": base.path, "embedder": self.facts.embedder.path},
            )
        )

    def contamination(self, likeness: Likeness, *, pool: Ref, items: Ref, label: str) -> Ref:
        """Which rows of a pool have something of which items."""
        identity: dict[str, Json] = {
            "contamination": CONTAMINATION_VERSION,
            "num_words": likeness.num_words,
            "component": likeness.component,
        }
        parents = {"pool": pool, "items": items}
        if likeness.embedder is not None:
            identity["cosine"] = likeness.cosine
            parents["embeddings"] = self.embeddings(likeness.embedded, pool, likeness.embedder)
            parents["embeddings_of_items"] = self.embeddings(likeness.embedded, items, likeness.embedder)
        return self.add(Step(room="contamination", label=label, identity=identity, parents=parents))

    def _hits(self, pool: Ref) -> Ref | None:
        """Held-out items in the rows that a method chooses from; all of them, where another has chosen before it."""
        if self.terms.contamination is None or not self.kept_apart:
            return None
        while self.steps[pool].room == "chosen":
            pool = self.steps[pool].parents["pool"]
        label = "held-out items in the pool" if pool == self.pool else "held-out items in generated rows"
        return self.contamination(self.terms.contamination, pool=pool, items=self.heldout, label=label)

    def cell(
        self, method: ResolvedMethod, *, budget: Budget, seed: int, other: PlannedCell | None = None
    ) -> PlannedCell:
        """All steps of one cell but the verdicts, which need the baseline's responses."""
        label = cell_label(method, other)
        pool = self.source(method, budget=budget, seed=seed)
        selection = self.selection(method, pool=pool, budget=budget, seed=seed, other=other)
        model = (
            self.model(method, selection=selection, pool=pool, budget=budget, seed=seed, label=label)
            if method.trains
            else None
        )
        evaluations, responses = self.measured(model, label=f"{label}, seed {seed}")
        chosen = model if model is not None and method.chooses is not None else selection
        descriptions: dict[str, Ref] = {
            component: self.description(
                component, pool=pool, selection=chosen, against=self.heldout, label=f"{label}, seed {seed}"
            )
            for component in (self.terms.describe if method.trains else ())
        }
        return PlannedCell(
            method=method.name,
            label=label,
            kind="control" if method.control else "method",
            budget=str(budget),
            seed=seed,
            fidelity=method.fidelity,
            matched_to=other.label if other else None,
            training_passes=method.training_passes,
            selection=selection,
            model=model,
            evaluations=evaluations,
            responses=responses if self.terms.judges or any(part.generates for part in self.terms.evals) else None,
            chooses=method.chooses,
            descriptions=descriptions,
            hits=self._hits(pool) if method.trains else None,
        )

    def answers(self) -> Ref | None:
        """Answers that no method of the run gave, to be judged against; None where there are none."""
        given = self.facts.answers
        if given is None:
            return None
        return self.add(
            Step(
                room="responses",
                label=f"read the answers of {given.label}",
                identity={"make": "read", "answers": given.content},
                parents={"pool": self.heldout},
                where={"source": given.source, "model": given.model or ""} if given.source else {},
            )
        )

    def verdicts(self, cell: PlannedCell, baseline: Ref | None) -> dict[str, Ref]:
        """The step of each judge for one cell, against the answers of `baseline`."""
        if cell.responses is None or baseline is None:
            return {}
        return {
            name: self.verdict_step(
                judge,
                pool=self.heldout,
                responses=cell.responses,
                baseline=baseline,
                label=f"verdicts of {name} on {cell.label}, seed {cell.seed}",
            )
            for name, judge in self.terms.judges.items()
        }

    def verdict_step(self, judge: Any, *, pool: Ref, responses: Ref, baseline: Ref, label: str) -> Ref:
        """The step in which a judge compares two lists of answers to the rows of a pool."""
        wished, more_identity, more_where = self.wanted(judge.needs(), pool)
        lengths: dict[str, Json] = {"lengths": "characters"} if self.facts.prompts else {}
        return self.add(
            Step(
                room="verdicts",
                label=label,
                identity={**self.engine, **part_identity(judge, self.facts), **lengths, **more_identity},
                parents={"pool": pool, "responses": responses, "baseline": baseline, **wished},
                where={"base": self.facts.base.path, **more_where},
            )
        )


def make_plan(facts: Facts, terms: Terms, methods: Sequence[ResolvedMethod]) -> Plan:
    """Every cell: methods and controls first, then the controls that are matched to each compared method."""
    planner = Planner(facts, terms)
    cells: list[PlannedCell] = []
    for budget in terms.budgets:
        for seed in terms.seeds:
            cells += _cells_of_one_seed(planner, methods, budget, seed)
    return Plan(
        cells=tuple(_ordered(cells)),
        steps=parents_first(planner.steps, [ref for cell in cells for ref in cell.refs]),
        pool=planner.pool,
        heldout=planner.heldout,
        lengths=planner.lengths,
    )


def _cells_of_one_seed(
    planner: Planner, methods: Sequence[ResolvedMethod], budget: Budget, seed: int
) -> Iterator[PlannedCell]:
    first = seed == planner.terms.seeds[0]
    plain = [
        planner.cell(method, budget=budget, seed=seed)
        for method in methods
        if not method.matched_to_each and (method.trains or first)
    ]
    # Rows that a generator made are not in the pool, where the matched rows would have to come from.
    on_pool = {method.label for method in methods if not method.makes_rows}
    compared = [cell for cell in plain if cell.kind == "method" and cell.label in on_pool]
    matched = [
        planner.cell(method, budget=budget, seed=seed, other=cell)
        for method in methods
        if method.matched_to_each
        for cell in compared
    ]
    cells = plain + matched
    baseline = _baseline(plain, planner.terms.baseline)
    answers = planner.answers()
    against = planner.facts.answers.label if planner.facts.answers else baseline.label if baseline else None
    for cell in cells:
        if answers is not None:
            verdicts = planner.verdicts(cell, answers)
        else:
            verdicts = planner.verdicts(cell, baseline.responses) if baseline and cell is not baseline else {}
        yield replace(cell, verdicts=verdicts, baseline=against if verdicts else None)


def _baseline(cells: Sequence[PlannedCell], name: str) -> PlannedCell | None:
    """The cell of that label; else the method's without parameters, or its first."""
    named = [cell for cell in cells if cell.method == name]
    exact = next((cell for cell in cells if cell.label == name), None)
    return exact or (named[0] if named else None)


def _ordered(cells: Iterable[PlannedCell]) -> list[PlannedCell]:
    """The order of methods on the command line must not show: by budget as given, then name, then seed."""
    budgets: dict[str, int] = {}
    listed = list(cells)
    for cell in listed:
        budgets.setdefault(cell.budget, len(budgets))
    return sorted(listed, key=lambda cell: (budgets[cell.budget], cell.kind == "control", cell.label, cell.seed))


def cell_label(method: ResolvedMethod, other: PlannedCell | None) -> str:
    """How the board names a method, matched to another or not."""
    return method.label if other is None else f"{method.label}({other.label})"
