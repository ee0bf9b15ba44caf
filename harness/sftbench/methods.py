"""From a method's name and parameters to its parts, made and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sftbench.errors import UsageError, unknown_name
from sftbench.parameters import PartUse, fields_of
from sftbench.plugins import Plugins
from sftbench.roles import Method, Recipe
from sftbench.rooms import Json

PART_ROLES = ("generator", "scorer", "selector", "trainer")


@dataclass(frozen=True, kw_only=True)
class ResolvedMethod:
    """A method with its parts made. `label` is how the user wrote it; `recipes` are the models it needs first."""

    name: str
    label: str
    selector: Any
    trainer: Any
    scorer: Any | None = None
    generator: Any | None = None
    control: bool = False
    trains: bool = True
    ignores_budget: bool = False
    matched_to_each: bool = False
    fidelity: str = "own definition"
    training_passes: float = 3.0
    """Forward passes over its rows that a training takes, backward passes counted by what they cost."""
    given: Mapping[str, Json] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, ResolvedMethod]] = field(default_factory=dict)


def resolve(plugins: Plugins, use: PartUse, trainer: PartUse) -> ResolvedMethod:
    """Make a method's parts. A given parameter goes to every part that has a field of that name.

    `role.param=value` reaches one part alone. The run's trainer settings go to every trainer with such
    fields, so that all methods train alike. Raises `UsageError` for a parameter that no part has.
    """
    method = plugins.method(use.name)
    uses = {role: getattr(method, role) for role in PART_ROLES}
    uses["trainer"] = uses["trainer"] or PartUse(name=trainer.name)
    classes = {role: plugins.part_class(role, each.name) for role, each in uses.items() if each is not None}
    routed = _route(use, classes)
    parts: dict[str, Any] = {}
    for role, part_class in classes.items():
        given = {**uses[role].parameters, **routed[role]}
        if role == "trainer":
            given = {**_shared(trainer, part_class), **given}
        parts[role] = plugins.part(role, PartUse(name=uses[role].name, parameters=given))
    recipes = {role: resolve_recipes(plugins, part, trainer) for role, part in parts.items()}
    return ResolvedMethod(
        name=method.name,
        label=str(use),
        selector=parts["selector"],
        trainer=parts["trainer"],
        scorer=parts.get("scorer"),
        generator=parts.get("generator"),
        control=method.control,
        trains=method.trains,
        ignores_budget=method.ignores_budget,
        matched_to_each=method.matched_to_each,
        fidelity=_fidelity(method, parts),
        training_passes=training_passes(parts["trainer"]),
        given=dict(use.parameters),
        recipes={"scorer": {}, "generator": {}, **recipes},
    )


def parts_of(methods: Iterable[ResolvedMethod]) -> Iterator[Any]:
    """Every part of the methods and of the recipes that they need."""
    for method in methods:
        yield from (part for part in (getattr(method, role) for role in PART_ROLES) if part is not None)
        for recipes in method.recipes.values():
            yield from parts_of(recipes.values())


def training_passes(trainer: Any) -> float:
    """What a training takes, in forward passes over its rows; three an epoch where the trainer does not say."""
    return float(getattr(trainer, "epochs", 1) or 1) * float(getattr(trainer, "passes_per_epoch", 3.0))


def _route(use: PartUse, classes: Mapping[str, type[Any]]) -> dict[str, dict[str, Json]]:
    """Which part gets which of the given parameters."""
    routed: dict[str, dict[str, Json]] = {role: {} for role in classes}
    # `scorer.alpha` wins over `alpha`, in whatever order they are written.
    for name, value in sorted(use.parameters.items(), key=lambda pair: "." in pair[0]):
        role, dot, inner = name.partition(".")
        if dot:
            if role not in classes:
                raise unknown_name(f"role in '{use}'", role, classes)
            routed[role][inner] = value
            continue
        takers = [role for role, part_class in classes.items() if name in fields_of(part_class)]
        if not takers:
            known = {each for part_class in classes.values() for each in fields_of(part_class)}
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
    recipes: Mapping[str, Recipe] = part.needs().models
    return {name: _resolve_recipe(plugins, recipe, trainer) for name, recipe in recipes.items()}


def _resolve_recipe(plugins: Plugins, recipe: Recipe, trainer: PartUse) -> ResolvedMethod:
    selector = plugins.part("selector", recipe.selector)
    trainer_class = plugins.part_class("trainer", recipe.trainer.name)
    own = {name: value for name, value in recipe.trainer.parameters.items() if value is not None}
    made = plugins.part(
        "trainer", PartUse(name=recipe.trainer.name, parameters={**_shared(trainer, trainer_class), **own})
    )
    if selector.needs().models or made.needs().models:
        raise UsageError(
            f"the recipe {recipe.selector} + {recipe.trainer} needs a trained model itself; recipes cannot nest"
        )
    empty: dict[str, ResolvedMethod] = {}
    return ResolvedMethod(
        name="recipe",
        label=f"{recipe.selector} + {recipe.trainer}",
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
