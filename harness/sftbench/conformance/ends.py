"""Which step shows a part, method or suite at work, planned with the parents that a real run would give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sftbench.budget import Budget
from sftbench.conformance.given import Given
from sftbench.conformance.offers import Offer, part_for_trial
from sftbench.methods import resolve, resolve_recipes
from sftbench.parameters import PartUse
from sftbench.plan import Ref, Step
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.roles import Method, Suite

SEED = 1
TRAINER = PartUse(name="sft")


@dataclass(kw_only=True)
class Ends:
    """Steps by label (`selector top`, `method ifd`), and why there is none for what could not even be planned."""

    plugins: Plugins
    planner: Planner
    given: Given
    in_rows: dict[str, Ref] = field(default_factory=dict)
    in_tokens: dict[str, Ref] = field(default_factory=dict)
    """The same under a budget in tokens, for what chooses."""
    unplanned: dict[str, str] = field(default_factory=dict)

    def add(self, offer: Offer) -> list[str]:
        """Plan for everything that a plugin offers; the labels."""
        labels = []
        for method in offer.methods:
            if not method.matched_to_each:
                labels.append(f"method {method.name}")
                self._plan(labels[-1], self._by_method(method), chooses=True)
        used = {method.selector.name for method in offer.methods if not method.matched_to_each}
        for role, part_class in offer.parts:
            if role != "selector" or part_class.name not in used:
                labels.append(f"{role} {part_class.name}")
                chooses = role == "selector" or getattr(part_class, "chooses", None) == "rows"
                self._plan(labels[-1], self._by_part(role, part_class), chooses=chooses)
        for suite in offer.suites:
            for part in ("pool", "heldout"):
                labels.append(f"suite {suite.name}, {part}")
                self.in_rows[labels[-1]] = _rows(self.planner, suite, part)
        return labels

    def refs(self) -> Iterator[Ref]:
        """Every step that shows something."""
        yield from self.in_rows.values()
        yield from self.in_tokens.values()

    def _plan(self, label: str, step: Callable[[Budget], Ref], *, chooses: bool) -> None:
        # Planning calls the part already: it is made, says what it needs, and its parameters enter a key.
        try:
            self.in_rows[label] = step(Budget.parse("12"))
            if chooses:
                self.in_tokens[label] = step(Budget.parse("400 tokens"))
        except Exception as problem:
            self.unplanned[label] = f"{type(problem).__name__}: {problem}"

    def _by_method(self, method: Method) -> Callable[[Budget], Ref]:
        def plan(budget: Budget) -> Ref:
            resolved = resolve(self.plugins, PartUse(name=method.name), TRAINER)
            planner = self.planner
            pool = planner.pool if resolved.generator is None else planner.generated(resolved, seed=SEED)
            return planner.choice(resolved, pool=pool, budget=budget, seed=SEED)

        return plan

    def _by_part(self, role: str, part_class: type[Any]) -> Callable[[Budget], Ref]:
        def plan(budget: Budget) -> Ref:
            part = part_for_trial(part_class)
            if role in ("evaluator", "judge"):
                return self.given.measuring(self.planner, role, part)
            room, parents, where, identity = self._surroundings(role, part, budget)
            return self.planner.part_step(
                room, part, pool=self.planner.pool, seed=SEED, parents=parents, identity=identity,
                recipes=resolve_recipes(self.plugins, part, TRAINER), where=where, given={},
            )  # fmt: skip

        return plan

    def _surroundings(
        self, role: str, part: Any, budget: Budget
    ) -> tuple[str, dict[str, Ref], dict[str, str], dict[str, Any]]:
        """Room, parents, places and identity of a part's step; nothing that a real plan would not give."""
        base, lengths = self.planner.facts.base, {"lengths": self.planner.lengths}
        where = {"base": base.path}
        if role == "generator":
            return "generated", self.planner.kept_apart, where, {}
        if role == "scorer":
            return ("scores", lengths, where, {}) if part.needs().lengths else ("scores", {}, {}, {})
        if role == "trainer":
            identity = {"base": base.fingerprint, "max_length": self.planner.terms.max_length}
            chooses = getattr(part, "chooses", None)
            bound = {"budget": budget.identity()} if chooses == "rows" else {}
            parents = {"selection": self.given.selection, **(lengths if chooses else {})}
            return "model", parents, where, {**identity, **bound}
        other = {"other": self.given.selection} if part.needs().other_selection else {}
        parents = {**lengths, "scores": self.given.scores, **other}
        return (
            "selection",
            parents,
            where,
            {"budget": budget.identity(), "training_passes": 3.0, "training_passes_of_other": 3.0},
        )


def _rows(planner: Planner, suite: Suite, part: str) -> Ref:
    identity = {"make": "read", "suite": f"{suite.name}@{suite.version}", "part": part}
    where = {"suite": suite.name, "part": part}
    return planner.add(Step(room="pool", label=f"{part} of suite {suite.name}", identity=identity, where=where))
