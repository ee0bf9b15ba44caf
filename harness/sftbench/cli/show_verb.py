"""Show one method or part: what it does, its parts and parameters, modes, fidelity and deviations."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

from sftbench.cli.options import add_format
from sftbench.errors import unknown_name
from sftbench.methods import parts_by_strategy
from sftbench.parameters import PartUse, fields_of
from sftbench.plugins import Plugins, load
from sftbench.roles import ROLES, Method


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a method or part, such as tshirt or selector:top")
    add_format(parser, ("table", "json"))


def run(options: argparse.Namespace) -> int:
    plugins = load()
    found = described(plugins, options.name)
    if options.output == "json":
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for entry in found:
            print("\n".join(_lines(entry)), end="\n\n")
    return 0


def described(plugins: Plugins, name: str) -> list[dict[str, Any]]:
    """Everything of that name: the method first, then parts. `role:name` asks for one part."""
    wanted_role, colon, bare = name.rpartition(":")
    if colon and wanted_role not in (*ROLES, "method"):
        raise unknown_name("role", wanted_role, (*ROLES, "method"))
    entries = []
    if wanted_role in ("", "method") and bare in plugins.methods:
        entries.append(_method(plugins, bare))
    for role in ROLES:
        if wanted_role in ("", role) and bare in plugins.parts[role]:
            entries.append(_part(plugins, role, bare))
    if entries:
        return entries
    if any(bare in (each.name, each.name.replace("_", "-")) for each in plugins.broken):
        plugins.method(bare)
    if colon and wanted_role != "method":
        plugins.part_class(wanted_role, bare)
    every = {*plugins.methods, *(each for role in ROLES for each in plugins.parts[role])}
    raise unknown_name("method or part", bare, every)


def _method(plugins: Plugins, name: str) -> dict[str, Any]:
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


def _part(plugins: Plugins, role: str, name: str) -> dict[str, Any]:
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


def _lines(entry: dict[str, Any]) -> list[str]:
    lines = [
        f"{entry['kind']} {entry['name']}  (plugin {entry['plugin']})",
        *(f"  {line}" for line in entry["about"].splitlines()),
    ]
    if entry.get("paper"):
        lines.append(f"  paper: {entry['paper']}")
    if "fidelity" in entry:
        lines += [
            f"  fidelity, {'any mode' if mode == '*' else f'mode {mode}'}: {how}"
            for mode, how in entry["fidelity"].items()
        ]
        lines += [f"  deviation: {each}" for each in entry["deviations"]]
        lines += [f"  {role}: {use}" for role, use in entry["parts"].items()]
        lines += [
            f"  strategy={name}: " + (", ".join(f"{role} {use}" for role, use in others.items()) or "these parts")
            for name, others in entry["strategies"].items()
        ]
    else:
        lines.append(
            f"  version {entry['version']}, {'deterministic' if entry['deterministic'] else 'depends on the seed'}"
        )
    if entry["parameters"]:
        lines.append("  parameters:")
    for each in entry["parameters"]:
        strategy = f", strategy={each['strategy']}" if "strategy" in each else ""
        part = f" [{each['part']}{strategy}]" if "part" in each else ""
        lines.append(f"    {each['parameter']}={each['default']}{part}  {each['type']}")
        lines.append(f"        {each['about']}")
    return lines
