"""Start a plugin of one's own, or hold one to the rules that every plugin must pass."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from sftbench.cli.options import FORMATS, add_format, print_rows
from sftbench.roles import ROLES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="new|check")
    new = verbs.add_parser("new", help="write a plugin distribution that passes its tests at once")
    new.add_argument("name", help="name of the part or method, such as my-scorer")
    new.add_argument("--kind", required=True, choices=(*ROLES, "method"))
    new.add_argument("--into", type=Path, default=Path(), help="folder to write the distribution into (default: here)")
    check = verbs.add_parser("check", help="run the conformance kit over plugin modules, on the CPU")
    check.add_argument("modules", nargs="+", metavar="MODULE", help="dotted name of a plugin module, such as my_scorer")
    add_format(check, FORMATS)


def run(options: argparse.Namespace) -> int:
    if options.action == "new":
        from sftbench.scaffold import write_distribution

        folder = write_distribution(options.name, options.kind, options.into)
        print(f"written: {folder}\nnext:\n  pip install -e {folder}\n  pytest {folder}\n  bench list {options.kind}s")
        return 0
    from sftbench.conformance import check_plugins, verdict

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    found = check_plugins(options.modules)
    rows = [{"plugin": name, **dataclasses.asdict(check)} for name, checks in found.items() for check in checks]
    print_rows(rows, options.output)
    verdicts = {name: verdict(checks) for name, checks in found.items()}
    for name, (_, words) in verdicts.items():
        print(f"{name}: {words}", file=sys.stderr)
    return 0 if all(good for good, _ in verdicts.values()) else 5
