"""Flags that several verbs share, and how results are printed: table, json, csv or md on stdout."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench.settings import RunSettings, load_settings

if TYPE_CHECKING:
    from sftbench.runner import Run

FORMATS = ("table", "json", "csv", "md")


def add_format(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """`-o table|json|csv|md`."""
    parser.add_argument("-o", "--output", choices=formats, default="table", help="form of the output (default: table)")


def add_concurrency(parser: argparse.ArgumentParser) -> None:
    """`--concurrency N`, as a run has it."""
    told = RunSettings.model_fields["concurrency"].description
    parser.add_argument("--concurrency", type=int, metavar="N", help=told)


def add_vllm(parser: argparse.ArgumentParser) -> None:
    """`--vllm PATH`, for verbs that are no runs."""
    parser.add_argument("--vllm", type=Path, metavar="PATH", help=RunSettings.model_fields["vllm"].description)


def add_run_settings(parser: argparse.ArgumentParser, *, without: Sequence[str] = ()) -> None:
    """One flag per setting of a run, and `-c FILE`."""
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings as YAML; flags win over it")
    wanted = {name: field for name, field in RunSettings.model_fields.items() if name not in without}
    for name, field in wanted.items():
        # A switch may stand alone: it then means yes.
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if field.annotation is bool else {}
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, dest=name, metavar=_metavar(name), help=field.description, **switch)


def _metavar(name: str) -> str:
    told = {
        "redo": "never|missing|failed|always",
        "controls": "standard|all|none",
        "contamination": "none|words|all",
        "seeds": "N|LIST",
        "limit": "N",
        "workers": "N",
        "concurrency": "N",
        "plant": "SHARE",
    }
    return told.get(name, name.rpartition("_")[2].upper())


def run_flags(options: argparse.Namespace) -> dict[str, Any]:
    """The run settings that were given as flags."""
    given = {name: getattr(options, name, None) for name in RunSettings.model_fields}
    return {name: value for name, value in given.items() if value is not None}


def prepared(options: argparse.Namespace) -> Run:
    """The run that the flags, the environment and the file ask for."""
    from sftbench import plugins
    from sftbench.runner import prepare
    from sftbench.survey import with_suite_defaults

    found = plugins.load()
    settings, given = load_settings(run_flags(options), options.config)
    return prepare(with_suite_defaults(settings, given, found), given, found)


def print_rows(rows: Sequence[Mapping[str, Any]], output: str, *, title: str = "") -> None:
    """Rows with the same keys, in the form asked for."""
    columns = list(rows[0]) if rows else []
    if output == "json":
        print(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif output == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        print(text.getvalue(), end="")
    elif output == "md":
        print("| " + " | ".join(columns) + " |")
        print("|" + " --- |" * len(columns))
        for row in rows:
            print(
                "| " + " | ".join(str(row[column]).replace("|", "\\|").replace("\n", " ") for column in columns) + " |"
            )
    else:
        _print_table(rows, columns, title)


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if row[column] is None else str(row[column])) for column in columns))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
