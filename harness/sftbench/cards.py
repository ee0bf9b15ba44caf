"""Cards: what the installed plugins say about a method or a part, as plain data for people and for the records."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, get_type_hints

from sftbench.methods import parts_by_strategy
from sftbench.parameters import PartUse, fields_of
from sftbench.plugins import Plugins
from sftbench.roles import Method

NAME = "methods.json"
"""Beside the records of a run: the cards of its methods, so that a board can tell about them without the plugins."""


def cards_of(plugins: Plugins, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The cards of those names that are methods, by name; a method that was put together has none."""
    return {name: method_card(plugins, name) for name in sorted(set(names)) if name in plugins.methods}


def method_card(plugins: Plugins, name: str) -> dict[str, Any]:
    """What an offered method is, as plain data: paper, fidelity by mode, deviations, parts, parameters."""
    method = plugins.methods[name]
    parts = parts_by_strategy(method)
    return {
        "kind": "method",
        "name": name,
        "about": method.summary,
        "paper": method.paper,
        "plugin": plugins.plugin_of[f"method:{name}"],
        "fidelity": dict(method.fidelity),
        "deviations": list(method.deviations),
        "parts": {role: str(use) for role, use in parts.items()},
        "strategies": {
            name: {role: str(use or "none") for role, use in others.items()}
            for name, others in method.strategies.items()
        },
        "parameters": [
            {**each, "part": role, **({"strategy": strategy} if strategy else {})}
            for strategy, role, use in _parts(method)
            if use.name in plugins.parts[role]
            for each in _parameters(plugins.part_class(role, use.name))
        ],
    }


def _parts(method: Method) -> Iterator[tuple[str, str, PartUse]]:
    """Role and part, of the first strategy (told as "") and then of each other what is not among these."""
    usual = parts_by_strategy(method)
    yield from (("", role, use) for role, use in usual.items())
    for strategy in method.strategies:
        others = parts_by_strategy(method, strategy)
        yield from ((strategy, role, use) for role, use in others.items() if usual.get(role) != use)


def part_card(plugins: Plugins, role: str, name: str) -> dict[str, Any]:
    """What an offered part is, as plain data."""
    offered = plugins.parts[role][name]
    part_class = offered.part_class
    return {
        "kind": role,
        "name": name,
        "about": inspect.getdoc(part_class) or "",
        "plugin": offered.plugin,
        "version": part_class.version,
        "deterministic": part_class.deterministic,
        "parameters": _parameters(part_class),
    }


def _parameters(part_class: type[Any]) -> list[dict[str, Any]]:
    hints = get_type_hints(part_class)
    return [
        {
            "parameter": name,
            "type": str(hints[name]).replace("typing.", "")
            if not isinstance(hints[name], type)
            else hints[name].__name__,
            "default": field.default,
            "about": field.metadata.get("doc", ""),
        }
        for name, field in fields_of(part_class).items()
    ]
