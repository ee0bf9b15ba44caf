"""Show one method or part: what it does, its parts and parameters, modes, fidelity and deviations."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sftbench.cards import method_card, part_card
from sftbench.cli.options import add_format
from sftbench.errors import unknown_name
from sftbench.plugins import Plugins, load
from sftbench.roles import ROLES


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
        entries.append(method_card(plugins, bare))
    for role in ROLES:
        if wanted_role in ("", role) and bare in plugins.parts[role]:
            entries.append(part_card(plugins, role, bare))
    if entries:
        return entries
    if any(bare in (each.name, each.name.replace("_", "-")) for each in plugins.broken):
        plugins.method(bare)
    if colon and wanted_role != "method":
        plugins.part_class(wanted_role, bare)
    every = {*plugins.methods, *(each for role in ROLES for each in plugins.parts[role])}
    raise unknown_name("method or part", bare, every)


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
