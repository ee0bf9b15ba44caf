"""Print the leaderboard of a run from its records, and write it again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sftbench.cli.options import FORMATS, add_format

if TYPE_CHECKING:
    from sftbench.board.table import Board


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="folder of a run's records, such as results/microcosm")
    parser.add_argument("--out", type=Path, help="also write the board into this folder")
    parser.add_argument("--sort", help="metric to order by (default: exact-match, else win rate, else nll)")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench.board.build import build_board
    from sftbench.board.render import write_board

    board = build_board(options.results, sort_metric=options.sort)
    if options.out is not None:
        write_board(board, options.out)
    show_board(board, options.output)
    return 0


def show_board(board: Board, output: str) -> None:
    """The board on stdout, as a table for people or as data."""
    import json

    from sftbench.board.render import board_csv, board_markdown, board_records, print_board

    if output == "json":
        print(json.dumps(board_records(board), indent=1, ensure_ascii=False))
    elif output == "csv":
        print(board_csv(board), end="")
    elif output == "md":
        print(board_markdown(board), end="")
    else:
        print_board(board, sys.stdout)
