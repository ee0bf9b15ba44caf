"""One trial: every part of some plugins does its work once, in a store of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftbench.budget import Budget
from sftbench.conformance.given import Given
from sftbench.conformance.material import Material
from sftbench.conformance.offers import Offer
from sftbench.executors.local import LocalExecutor, Outcome, Slots
from sftbench.fingerprint import fingerprint_model, hash_file, key_of
from sftbench.methods import resolve, resolve_recipes
from sftbench.parameters import PartUse
from sftbench.plan import Facts, ModelFacts, Planner, Ref, Step, Terms, parents_first
from sftbench.plugins import Plugins
from sftbench.roles import Method, Suite
from sftbench.store import Store

SEED = 1
TRAINER = PartUse(name="sft")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What one trial gave, by label: a hash of the output, or why there is none.

    `in_tokens` says why a selection under a budget in tokens failed, empty if it did not; `changed` names inputs that
    were not left as they were.
    """

    hashes: Mapping[str, str]
    failures: Mapping[str, str]
    in_tokens: Mapping[str, str]
    changed: frozenset[str]


@dataclass(kw_only=True)
class Trial:
    """Plans a step for everything that the plugins offer and has the steps done."""

    plugins: Plugins
    material: Material
    offers: Mapping[str, Offer]
    labels: dict[str, list[str]] = field(default_factory=dict)
    """What was tried of each plugin module, after a run."""

    def run(self, root: Path, *, budgets: Sequence[str]) -> Outputs:
        """Do every step in a new store; selections under each of the budgets, of which the first is in rows."""
        store, planner = Store(root), self._planner()
        given = Given.put(store, planner)
        ends: dict[tuple[str, str], Ref] = {}
        for name, offer in self.offers.items():
            mine = {(label, text): ref for text in budgets for label, ref in self._ends(planner, given, offer, text)}
            self.labels[name] = list(dict.fromkeys(label for label, _ in mine))
            ends |= mine
        seals = {ref: contents(store, ref) for ref in given.refs}
        outcomes = self._done(store, planner, ends, seals)
        failures = {each: why(store, planner, ref, outcomes) for each, ref in ends.items()}
        changed = {planner.steps[ref].label for ref, seal in seals.items() if contents(store, ref) != seal}
        if self.material.key_now() != self.material.key:
            changed.add("the pool file or the model folder")
        return Outputs(
            hashes={
                label: key_of(seals[ref])
                for (label, text), ref in ends.items()
                if text == budgets[0] and not failures[label, text]
            },
            failures={label: reason for (label, text), reason in failures.items() if text == budgets[0] and reason},
            in_tokens={label: reason for (label, text), reason in failures.items() if text != budgets[0]},
            changed=frozenset(changed),
        )

    def _done(
        self, store: Store, planner: Planner, ends: Mapping[tuple[str, str], Ref], seals: dict[Ref, dict[str, str]]
    ) -> dict[Ref, Outcome]:
        """Do the steps, and note what is in each one's folder when it ends: nobody may change that later."""

        def seal(step: Step, outcome: Outcome, reason: str) -> None:
            seals[step.ref] = contents(store, step.ref)

        executor = LocalExecutor(
            store=store.root, slots=Slots(num_workers=1, num_threads=1), logs=store.root / "logs", provenance={},
            on_event=lambda step, event: None, on_end=seal,
        )  # fmt: skip
        given: dict[Ref, Outcome] = dict.fromkeys(seals, "done")
        return executor.run(parents_first(planner.steps, ends.values()), given)

    def _planner(self) -> Planner:
        folder, pool = self.material.model, self.material.pool
        model = ModelFacts(name="tiny", path=str(folder), fingerprint=fingerprint_model(folder))
        facts = Facts(
            pool_name="check", pool_source={"source": str(pool)}, pool_content={"content": hash_file(pool)},
            heldout_source=None, heldout_content=None, base=model, scoring=model, embedder="minilm",
        )  # fmt: skip
        terms = Terms(
            budgets=(), seeds=(SEED,), plant=0.0, heldout_share=0.2, heldout_at_most=12, max_length=128,
            max_new_tokens=8, evals=(), judge=None,
        )  # fmt: skip
        return Planner(facts, terms)

    def _ends(self, planner: Planner, given: Given, offer: Offer, budget: str) -> list[tuple[str, Ref]]:
        """The step that shows each thing of a plugin at work, by label; under the second budget selections alone."""
        in_rows = Budget.parse(budget).unit == "rows"
        ends = []
        for method in offer.methods:
            if not method.matched_to_each:
                ends.append((f"method {method.name}", self._method(planner, method, budget)))
        used = {method.selector.name for method in offer.methods if not method.matched_to_each}
        for role, part_class in offer.parts:
            if (role == "selector" and part_class.name not in used) or (role != "selector" and in_rows):
                ends.append((f"{role} {part_class.name}", self._part(planner, given, role, part_class(), budget)))
        for suite in offer.suites:
            if in_rows:
                ends += [(f"suite {suite.name}, {part}", _rows(planner, suite, part)) for part in ("pool", "heldout")]
        return ends

    def _method(self, planner: Planner, method: Method, budget: str) -> Ref:
        resolved = resolve(self.plugins, PartUse(name=method.name), TRAINER)
        pool = planner.pool if resolved.generator is None else planner.generated(resolved, seed=SEED)
        return planner.selection(resolved, pool=pool, budget=Budget.parse(budget), seed=SEED)

    def _part(self, planner: Planner, given: Given, role: str, part: Any, budget: str) -> Ref:
        """A step for a part alone, with the parents that a real plan would give it and no other."""
        if role in ("evaluator", "judge"):
            return given.measuring(planner, role, part)
        base = planner.facts.base
        room = {"generator": "generated", "scorer": "scores", "selector": "selection", "trainer": "model"}[role]
        identity: dict[str, Any] = {}
        parents: dict[str, Ref] = {}
        where = {"base": base.path}
        if role == "scorer":
            parents, where = ({"lengths": planner.lengths}, where) if part.needs().lengths else ({}, {})
        if role == "selector":
            identity = {"budget": Budget.parse(budget).identity(), "epochs": 1}
            parents = {"lengths": planner.lengths, "scores": given.scores}
            parents |= {"other": given.selection} if part.needs().other_selection else {}
        if role == "trainer":
            identity = {"base": base.fingerprint, "max_length": planner.terms.max_length}
            parents = {"selection": given.selection}
        return planner.part_step(
            room, part, pool=planner.pool, seed=SEED, parents=parents, identity=identity,
            recipes=resolve_recipes(self.plugins, part, TRAINER), where=where, given={},
        )  # fmt: skip


def _rows(planner: Planner, suite: Suite, part: str) -> Ref:
    identity = {"make": "read", "suite": f"{suite.name}@{suite.version}", "part": part}
    where = {"suite": suite.name, "part": part}
    return planner.add(Step(room="pool", label=f"{part} of suite {suite.name}", identity=identity, where=where))


def contents(store: Store, ref: Ref) -> dict[str, str]:
    """The hash of every file of a step but its record, which tells times, and of what the record tells besides."""
    folder = store.folder(*ref.split("/", 1))
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    record = store.find(*ref.split("/", 1))
    hashes = {name: hash_file(path) for name, path in files.items() if name != "record.json"}
    return hashes | {"payload": key_of(dict(record.payload) if record else {})}


def why(store: Store, planner: Planner, ref: Ref, outcomes: Mapping[Ref, Outcome]) -> str:
    """Why a step was not done: its failure, or that of one it waits for; empty if it was done."""
    if outcomes.get(ref) == "done":
        return ""
    waiting = [ref]
    while waiting:
        each = waiting.pop()
        record = store.find(*each.split("/", 1))
        if record is not None and record.failure is not None:
            return f"{planner.steps[each].label}: {record.failure.error}: {record.failure.message}"
        if outcomes.get(each) == "died":
            return f"{planner.steps[each].label}: its process died"
        waiting.extend(planner.steps[each].parents.values())
    return "it was never reached"
