"""Compare two selections: what they share, what they consist of, which rows one took and the other did not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_format, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", help="a method of the run, a folder of its records, or a file of rows")
    parser.add_argument("b", help="the other")
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder of the run, such as results/microcosm")
    parser.add_argument("--budget", help="which budget, where the run had several")
    parser.add_argument("--seed", type=int, help="which seed's selections (default: the first that both have)")
    parser.add_argument("--lm", help="base model of the run, whose tokenizer cuts tokens (default: a suite's)")
    parser.add_argument("--clusters", type=int, default=8, metavar="N", help="clusters of instructions (default: 8)")
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="rows of each kind shown (default: 3)")
    parser.add_argument("--pick", type=int, default=0, metavar="N", help="seed of examples and clusters (default: 0)")
    parser.add_argument("--no-embeddings", action="store_true", help="leave out what needs them: clusters, closeness")
    parser.add_argument("--site", type=Path, metavar="DIR", help="also write a page with texts into this board's site")
    parser.add_argument("--store", type=Path, help="folder of step outputs, where texts are")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench.cli.anatomy_text import flat_rows, print_anatomy
    from sftbench.cli.visible import json_text
    from sftbench.commands import compare_selections
    from sftbench.errors import UsageError

    if options.clusters < 1 or options.examples < 0:
        raise UsageError("--clusters is at least 1, and --examples at least 0")
    if options.site is not None and options.results is None:
        raise UsageError("--results is missing: a page of a site is about two methods of its run")
    told: dict[str, Any] = compare_selections(
        options.a, options.b, results=options.results, budget=options.budget, seed=options.seed, lm=options.lm,
        num_clusters=options.clusters, num_examples=options.examples, pick=options.pick,
        embeddings=not options.no_embeddings, store=options.store,
    )  # fmt: skip
    if options.site is not None:
        from sftbench.board.site.compared import write_comparison

        page = write_comparison(told, results=options.results, out=options.site)
        print(f"page with texts of the pool, which is not published: {page}", file=sys.stderr)
    if options.output == "json":
        print(json_text(told))
    elif options.output == "table":
        print_anatomy(told, sys.stdout)
    else:
        print_rows(flat_rows(told), options.output)
    return 0
