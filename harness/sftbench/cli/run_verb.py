"""Compare methods on one pool, base model and budget: choose, train, evaluate, and print the leaderboard."""

from __future__ import annotations

import argparse
import sys

from sftbench.cli.board_verb import show_board
from sftbench.cli.ending import ended
from sftbench.cli.options import FORMATS, add_format, add_run_settings, prepared
from sftbench.cli.watching import Watching
from sftbench.compare import compare
from sftbench.runner import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_settings(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show the plan (the same as 'bench plan')")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    if options.dry_run:
        from sftbench.cli import plan_verb

        return plan_verb.run(options)
    return run_and_show(prepared(options), options.output)


def run_and_show(planned: Run, output: str) -> int:
    """Carry a run out, write results and board, print the board; the exit code."""
    with Watching() as watcher:
        compared = compare(planned, watcher)
    if compared.board is None:
        print("bench: nothing is finished yet, so there is no board", file=sys.stderr)
        return 1
    show_board(compared.board, output)
    print(f"records: {compared.results}   board: {planned.board_folder}", file=sys.stderr)
    return ended(planned, compared)
