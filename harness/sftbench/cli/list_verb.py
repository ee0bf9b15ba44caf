"""List what the installed plugins offer; a broken plugin is listed too, with the reason."""

from __future__ import annotations

import argparse
from typing import Any

from sftbench.cli.options import FORMATS, add_format, print_rows
from sftbench.plugins import Plugins, load
from sftbench.roles import ROLES, PromptSuite, Suite

KINDS = ("methods", *(f"{role}s" for role in ROLES), "suites", "plugins")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", choices=(*KINDS, "all"), default="all", help="what to list (default: all)")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    rows = listed(load(), options.kind)
    print_rows(rows, options.output)
    return 0


def listed(plugins: Plugins, kind: str) -> list[dict[str, Any]]:
    """One row per method, part, suite or plugin."""
    rows: list[dict[str, Any]] = []
    if kind in ("all", "methods"):
        for name, method in sorted(plugins.methods.items()):
            fidelity = ", ".join(f"{mode}: {how}" if mode != "*" else how for mode, how in method.fidelity.items())
            about = method.summary + (" (control)" if method.control else "")
            about += f" (strategy={'|'.join(method.strategies)})" if method.strategies else ""
            rows.append(_row("method", name, about, plugins.plugin_of[f"method:{name}"], fidelity))
    for role in ROLES:
        if kind in ("all", f"{role}s"):
            for name, offered in sorted(plugins.parts[role].items()):
                rows.append(_row(role, name, first_sentence(offered.part_class.__doc__), offered.plugin))
    if kind in ("all", "suites"):
        suites: dict[str, Suite | PromptSuite] = {**plugins.suites, **plugins.prompt_suites}
        for name, suite in sorted(suites.items()):
            rows.append(_row("suite", name, suite.summary, plugins.plugin_of[f"suite:{name}"]))
    if kind == "plugins":
        broken = {each.name for each in plugins.broken}
        for name, distribution in sorted(plugins.distributions.items()):
            if name not in broken:
                rows.append(_row("plugin", name, distribution, name))
    if kind in ("all", "plugins"):
        for each in plugins.broken:
            rows.append(_row("BROKEN plugin", each.name, f"{each.reason} ({each.distribution})", each.name))
    return rows


def first_sentence(doc: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    text = " ".join((doc or "").split())
    return text.split(". ")[0].rstrip(".")


def _row(kind: str, name: str, about: str, plugin: str, fidelity: str = "") -> dict[str, Any]:
    return {"kind": kind, "name": name, "about": about, "fidelity": fidelity, "plugin": plugin}
