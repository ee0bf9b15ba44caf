"""Run a study: a grid of methods like any other run, then tables and figures of what its records say."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_format, add_run_settings, print_rows, run_flags
from sftbench.errors import UsageError

SHOWN = ("slopes", "estimates", "correlations")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", nargs="?", help="name of a study that comes with the package, a YAML file, or the results of a study"
    )
    parser.add_argument("--list", action="store_true", help="list the studies that come with the package")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    add_run_settings(parser, without=("methods",))
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.cli.ending import ended
    from sftbench.cli.watching import Watching
    from sftbench.study.definition import RECORD, load_study
    from sftbench.study.run import carry_out_study, plan_study

    if options.list or options.study is None:
        return _list(options)
    if options.config is not None:
        raise UsageError("a study has its settings in its own file; give the others as flags")
    study, draw = load_study(options.study), not options.no_figures
    if (Path(options.study) / RECORD).is_file():
        return _again(options)
    planned, kept, remarks = plan_study(study, run_flags(options), plugins.load(), draw=draw)
    for remark in remarks:
        print(f"bench: {remark}", file=sys.stderr)
    with Watching() as watcher:
        studied = carry_out_study(planned, kept, watcher, remarks=remarks, draw=draw)
    if studied.findings is None:
        print("bench: nothing is finished yet, so there is nothing to tell", file=sys.stderr)
        return 1
    _show(studied.findings.tables, options.output, study.name)
    print(f"records: {studied.comparison.results}   report: {studied.folder}", file=sys.stderr)
    return ended(planned, studied.comparison)


def _again(options: argparse.Namespace) -> int:
    """From the records of a study that was carried out: nothing is run."""
    from sftbench.study.run import FOLDER, study_again

    given = sorted(set(run_flags(options)) - {"board"})
    if given:
        raise UsageError(f"the records of a study are as they are; --{given[0].replace('_', '-')} would change them")
    results = Path(options.study)
    name = results.resolve().name
    board = Path(options.board) if options.board else Path("leaderboards") / name
    findings = study_again(results, board / FOLDER, draw=not options.no_figures)
    _show(findings.tables, options.output, name)
    print(f"report: {board / FOLDER}", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from sftbench.study.definition import load_study, shipped

    studies = [load_study(name) for name in shipped()]
    rows = [
        {
            "study": each.name,
            "about": " ".join(each.about.split()),
            "analyses": ", ".join(each.analyses),
            "paper": each.paper,
        }
        for each in studies
    ]
    print_rows(rows, options.output)
    return 0


def _show(tables: Mapping[str, list[dict[str, Any]]], output: str, name: str) -> None:
    """Every table as one JSON object; the first alone as CSV, since a file has one header; the main ones for people."""
    if output == "json":
        print(json.dumps(tables, indent=1, ensure_ascii=False))
        return
    shown = [each for each in SHOWN if tables.get(each)]
    for each in shown[:1] if output == "csv" else shown:
        print_rows(tables[each], output, title=f"{name}: {each}")
