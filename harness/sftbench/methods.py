"""From a method's name and parameters to its parts, made and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sftbench.composition import PART_ROLES, MethodUse, Take
from sftbench.errors import UsageError, unknown_name
from sftbench.parameters import PartUse, fields_of
from sftbench.plugins import Plugins
from sftbench.roles import Chosen, Method, Recipe
from sftbench.rooms import Json


@dataclass(frozen=True, kw_only=True)
class ResolvedMethod:
    """A method with its parts made. `label` is how the user wrote it; `recipes` are the models it needs first.

    `before` chooses the rows that this method may choose from, as many as `take` says.
    """

    name: str
    label: str
    selector: Any
    trainer: Any
    scorer: Any | None = None
    generator: Any | None = None
    before: ResolvedMethod | None = None
    take: Take | None = None
    control: bool = False
    trains: bool = True
    ignores_budget: bool = False
    matched_to_each: bool = False
    fidelity: str = "own definition"
    training_passes: float = 3.0
    """Forward passes over its rows that a training takes, backward passes counted by what they cost."""
    given: Mapping[str, Json] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, ResolvedMethod]] = field(default_factory=dict)

    @property
    def makes_rows(self) -> bool:
        """True when it trains on rows that are not in the run's pool."""
        return self.generator is not None or (self.before is not None and self.before.makes_rows)

    @property
    def chooses(self) -> Chosen | None:
        """What the trainer chooses itself while it trains."""
        chosen: Chosen | None = getattr(self.trainer, "chooses", None)
        return chosen


def resolve(plugins: Plugins, use: MethodUse | PartUse, trainer: PartUse) -> ResolvedMethod:
    """Make a method's parts. A given parameter goes to every part that has a field of that name.

    `role.param=value` reaches one part alone, and `strategy` says which parts they are where the method has
    several strategies. The run's trainer settings go to every trainer with such fields, so that all methods
    train alike. Raises `UsageError` for a parameter that no part has.
    """
    wanted = MethodUse(name=use) if isinstance(use, PartUse) else use
    method = _card(plugins, wanted)
    parts: dict[str, Any] = {}
    for source in _sources(plugins, wanted, trainer):
        classes = {role: plugins.part_class(role, each.name) for role, each in source.parts.items()}
        routed = _route(source.given, classes, besides=source.besides)
        for role, part_class in classes.items():
            given = {**source.parts[role].parameters, **routed[role]}
            if role == "trainer":
                given = {**_shared(trainer, part_class), **given}
            parts[role] = plugins.part(role, PartUse(name=source.parts[role].name, parameters=given))
    _refuse_unmatched(method, parts["selector"])
    recipes = {role: resolve_recipes(plugins, part, trainer) for role, part in parts.items()}
    before = resolve(plugins, wanted.before, trainer) if wanted.before else None
    if before is not None and "generator" in parts:
        raise UsageError(f"in '{wanted}' a generator would throw away what was chosen before it; put it first")
    return ResolvedMethod(
        name=method.name,
        label=str(wanted),
        selector=parts["selector"],
        trainer=parts["trainer"],
        scorer=parts.get("scorer"),
        generator=parts.get("generator"),
        before=before,
        take=wanted.before.take if wanted.before else None,
        control=method.control,
        trains=method.trains,
        ignores_budget=method.ignores_budget,
        matched_to_each=method.matched_to_each,
        fidelity=_fidelity(method, parts),
        training_passes=training_passes(parts["trainer"]),
        given=_given(wanted),
        recipes={"scorer": {}, "generator": {}, **recipes},
    )


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Parts that one word of a method brings, and the parameters in its brackets; `besides` are not the parts'."""

    given: PartUse
    parts: Mapping[str, PartUse]
    besides: frozenset[str] = frozenset()

    @classmethod
    def of_method(cls, method: Method, use: PartUse) -> _Source:
        """The parts of a method, by the strategy that is asked for."""
        parts = parts_by_strategy(method, use.parameters.get("strategy"))
        return cls(given=use, parts=parts, besides=frozenset({"strategy"} if method.strategies else ()))

    def only(self, roles: Iterable[str]) -> _Source:
        """The same without the parts of other roles."""
        return replace(self, parts={role: self.parts[role] for role in roles if role in self.parts})


def _card(plugins: Plugins, use: MethodUse) -> Method:
    """The method of that name; what is put together differs from every method and has a card of its own."""
    if use.name is not None and not use.parts and use.before is None:
        return plugins.method(use.name.name)
    # What a chain begins with is made by itself, where it may be a control's name alone.
    for word in [*_words(use), *(_words(use.before) if use.before else ())]:
        known = plugins.methods.get(word.name)
        if known is not None and (not known.trains or known.matched_to_each or known.ignores_budget):
            raise UsageError(f"'{word.name}' is a control that chooses nothing itself; it cannot be part of '{use}'")
    return Method(name=str(use), summary="put together from parts", selector=PartUse(name="all"))


def _words(use: MethodUse) -> list[PartUse]:
    """The names that one link of a chain is written with."""
    return [*([use.name] if use.name else []), *use.parts.values()]


def _refuse_unmatched(method: Method, selector: Any) -> None:
    """What is matched to another selection needs a method of the kind that gets one."""
    if selector.needs().other_selection and not method.matched_to_each:
        raise UsageError(
            f"in '{method.name}' the selector {selector.name} has nothing to be matched to; it works in controls that "
            "are matched to each method ('bench list methods')"
        )


def _sources(plugins: Plugins, use: MethodUse, trainer: PartUse) -> Iterator[_Source]:
    """Whose parts make the method: each role comes once. A method stands in for its part, and a scorer comes along."""
    taken = {role: _of_role(plugins, role, each) for role, each in use.parts.items()}
    if "scorer" in taken and "selector" in taken:
        taken["selector"] = taken["selector"].only(["selector"])
    yield from taken.values()
    replaced = {role for each in taken.values() for role in each.parts}
    if use.name is not None:
        own = _Source.of_method(plugins.method(use.name.name), use.name)
        own = replace(own, parts={"trainer": PartUse(name=trainer.name), **own.parts})
        yield own.only(role for role in PART_ROLES if role not in replaced)
        return
    missing: dict[str, PartUse] = {}
    if "selector" not in replaced:
        if not replaced & {"scorer", "generator"}:
            raise UsageError(f"'{use}' names no selector; add selector=NAME (see 'bench list selectors')")
        missing["selector"] = PartUse(name="top" if "scorer" in replaced else "random")
    if "trainer" not in replaced:
        missing["trainer"] = PartUse(name=trainer.name)
    yield _Source(given=PartUse(name="defaults"), parts=missing)


def _of_role(plugins: Plugins, role: str, use: PartUse) -> _Source:
    """The parts that `role=name` means: those of the method of that name, or the part itself."""
    method = plugins.methods.get(use.name)
    found = None if method is None else _Source.of_method(method, use)
    if found is not None and role in found.parts:
        return found.only(["selector", "scorer"] if role == "selector" else [role])
    plugins.part_class(role, use.name)
    return _Source(given=use, parts={role: PartUse(name=use.name)})


def _given(use: MethodUse) -> dict[str, Json]:
    """The parameters as the user gave them, for the record."""
    given: dict[str, Json] = dict(use.name.parameters) if use.name else {}
    return given | {role: str(each) for role, each in use.parts.items()}


def parts_by_strategy(method: Method, strategy: Json = None) -> dict[str, PartUse]:
    """The parts that a method names, by role; without a strategy those of its first."""
    uses = {role: getattr(method, role) for role in PART_ROLES}
    if method.strategies:
        wanted = next(iter(method.strategies)) if strategy is None else str(strategy)
        if wanted not in method.strategies:
            raise unknown_name(f"strategy of {method.name}", wanted, method.strategies)
        uses |= method.strategies[wanted]
    return {role: each for role, each in uses.items() if each is not None}


def parts_of(methods: Iterable[ResolvedMethod]) -> Iterator[Any]:
    """Every part of the methods and of the recipes that they need."""
    for method in methods:
        yield from (part for part in (getattr(method, role) for role in PART_ROLES) if part is not None)
        for recipes in method.recipes.values():
            yield from parts_of(recipes.values())
        if method.before is not None:
            yield from parts_of([method.before])


def training_passes(trainer: Any) -> float:
    """What a training takes, in forward passes over its rows; three an epoch where the trainer does not say."""
    return float(getattr(trainer, "epochs", 1) or 1) * float(getattr(trainer, "passes_per_epoch", 3.0))


def _route(use: PartUse, classes: Mapping[str, type[Any]], *, besides: frozenset[str]) -> dict[str, dict[str, Json]]:
    """Which part gets which of the given parameters; those in `besides` are the method's own."""
    routed: dict[str, dict[str, Json]] = {role: {} for role in classes}
    # `scorer.alpha` wins over `alpha`, in whatever order they are written.
    for name, value in sorted(use.parameters.items(), key=lambda pair: "." in pair[0]):
        role, dot, inner = name.partition(".")
        if name in besides:
            continue
        if dot:
            if role not in classes:
                raise unknown_name(f"role in '{use}'", role, classes)
            routed[role][inner] = value
            continue
        takers = [role for role, part_class in classes.items() if name in fields_of(part_class)]
        if not takers:
            known = {each for part_class in classes.values() for each in fields_of(part_class)} | besides
            raise unknown_name(f"parameter of {use.name}", name, known)
        for taker in takers:
            routed[taker][name] = value
    return routed


def _shared(trainer: PartUse, part_class: type[Any]) -> dict[str, Json]:
    """The run's trainer settings that this trainer has too."""
    if part_class.name == trainer.name:
        return dict(trainer.parameters)
    return {name: value for name, value in trainer.parameters.items() if name in fields_of(part_class)}


def resolve_recipes(plugins: Plugins, part: Any, trainer: PartUse) -> dict[str, ResolvedMethod]:
    # Whether a language model is named is not known yet.
    recipes: Mapping[str, Recipe] = part.needs().when(chat=False).models
    return {name: _resolve_recipe(plugins, recipe, trainer) for name, recipe in recipes.items()}


def _resolve_recipe(plugins: Plugins, recipe: Recipe, trainer: PartUse) -> ResolvedMethod:
    selector = plugins.part("selector", recipe.selector)
    scorer = plugins.part("scorer", recipe.scorer) if recipe.scorer else None
    trainer_class = plugins.part_class("trainer", recipe.trainer.name)
    own = {name: value for name, value in recipe.trainer.parameters.items() if value is not None}
    made = plugins.part(
        "trainer", PartUse(name=recipe.trainer.name, parameters={**_shared(trainer, trainer_class), **own})
    )
    if any(each.needs().models for each in (scorer, selector, made) if each is not None):
        raise UsageError(
            f"the recipe {recipe.selector} + {recipe.trainer} needs a trained model itself; recipes cannot nest"
        )
    empty: dict[str, ResolvedMethod] = {}
    return ResolvedMethod(
        name="recipe",
        label=f"{recipe.selector} + {recipe.trainer}",
        scorer=scorer,
        selector=selector,
        trainer=made,
        training_passes=training_passes(made),
        recipes={"scorer": empty, "selector": empty, "trainer": empty},
    )


def _fidelity(method: Method, parts: Mapping[str, Any]) -> str:
    """What the method card says for the mode in use."""
    modes = {getattr(part, "mode", None) for part in parts.values()} - {None}
    for mode in sorted(str(each) for each in modes):
        if mode in method.fidelity:
            return method.fidelity[mode]
    only = next(iter(method.fidelity.values())) if len(method.fidelity) == 1 else "own definition"
    return method.fidelity.get("*", only)
