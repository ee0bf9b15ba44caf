"""The leaderboard of a run, from its records: print it, build its site, or serve a site to a browser here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sftbench.cli.options import FORMATS, add_format

if TYPE_CHECKING:
    from sftbench.board.table import Board
    from sftbench.board.terminal import Order

ACTIONS = ("show", "build", "overview", "serve")
MOST_NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "bench board [show] RESULTS | build RESULTS --out FOLDER | overview FOLDER | serve FOLDER"
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS), prog="bench board")
    _add_show(actions.add_parser("show", help="print the board; 'bench board RESULTS' is short for it"))
    _add_build(actions.add_parser("build", help="write the board as text, CSV, JSON and a site that opens from disk"))
    _add_overview(actions.add_parser("overview", help="write a page over all boards in a folder, such as leaderboards"))
    _add_serve(actions.add_parser("serve", help="serve the folder of a board on the loopback address"))


def spelled_out(given: list[str]) -> list[str]:
    """`bench board RESULTS` is `bench board show RESULTS`."""
    return given if not given or given[0] in (*ACTIONS, "-h", "--help") else ["show", *given]


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_results(parser)
    parser.add_argument("--out", type=Path, help="also write the board, with its site, into this folder")
    parser.add_argument(
        "--order",
        choices=("score", "cost"),
        default="score",
        help="cost: by what rows add to random rows with the same total compute, where the board has such",
    )
    parser.add_argument("--all", action="store_true", help="also show the controls that are matched to a method")
    add_format(parser, FORMATS)


def _add_build(parser: argparse.ArgumentParser) -> None:
    _add_results(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the board, such as leaderboards/microcosm")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the folder is not up to date")


def _add_overview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder that boards lie in, such as leaderboards")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is not up to date")


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="folder of a run's records, such as results/microcosm")
    parser.add_argument("--sort", help="metric to order by (default: exact-match, else win rate, else nll)")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of a board, or of several with an overview")
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1; 0 takes a free one (default: 8000)")


def run(options: argparse.Namespace) -> int:
    return {"show": _show, "build": _build, "overview": _overview, "serve": _serve}[options.action](options)


def _show(options: argparse.Namespace) -> int:
    from sftbench.board.build import build_board

    board = build_board(options.results, sort_metric=options.sort)
    if options.out is not None:
        _write(board, options)
    show_board(board, options.output, order=options.order, matched=options.all)
    return 0


def _build(options: argparse.Namespace) -> int:
    from sftbench.board.build import build_board
    from sftbench.board.site.files import site_files, stale_files
    from sftbench.errors import VerificationError

    board = build_board(options.results, sort_metric=options.sort)
    if not options.check:
        changed = _write(board, options)
        print(f"{len(changed)} files written or removed; open {options.out / 'index.html'}", file=sys.stderr)
        return 0
    stale = stale_files(site_files(board, options.results, options.out), options.out)
    if stale:
        more = f" and {len(stale) - MOST_NAMED} more" if len(stale) > MOST_NAMED else ""
        raise VerificationError(
            f"{options.out} is not what its records give: {', '.join(stale[:MOST_NAMED])}{more}; build it again"
        )
    print(f"{options.out} is up to date", file=sys.stderr)
    return 0


def _overview(options: argparse.Namespace) -> int:
    from sftbench.board.site.overview import PAGE, overview_page, require_own_page
    from sftbench.errors import UsageError, VerificationError
    from sftbench.store import write_atomically

    page = options.folder / PAGE
    require_own_page(options.folder)
    text = overview_page(options.folder)
    if options.check:
        if not page.is_file() or page.read_bytes() != text.encode():
            raise VerificationError(f"{page} is not what the boards beside it give; 'bench board overview' writes it")
        print(f"{page} is up to date", file=sys.stderr)
        return 0
    try:
        write_atomically(page, text)
    except OSError as problem:
        raise UsageError(f"cannot write '{page}': {problem.strerror}") from None
    print(f"open {page}", file=sys.stderr)
    return 0


def _write(board: Board, options: argparse.Namespace) -> list[str]:
    from sftbench.board.site.files import require_own_folder, write_site
    from sftbench.errors import UsageError
    from sftbench.store import full_disk_explained

    require_own_folder(options.out)
    try:
        with full_disk_explained(options.out, "out"):
            return write_site(board, options.results, options.out)
    except OSError as problem:
        raise UsageError(f"cannot write the board to '{options.out}': {problem.strerror}") from None


def _serve(options: argparse.Namespace) -> int:
    from sftbench.board.site.serving import server

    with server(options.folder, options.port) as serving:
        print(f"serving {serving.address} until it is interrupted", file=sys.stderr, flush=True)
        serving.serve_forever()
    return 0


def show_board(board: Board, output: str, *, order: Order = "score", matched: bool = False) -> None:
    """The board on stdout, as a table for people, ordered by score or at equal cost, or as data.

    Tables for the terminal have controls that are matched to a method only if `matched`.
    """
    import json

    from sftbench.board.render import board_csv, board_markdown, board_records, print_board

    if output == "json":
        print(json.dumps(board_records(board), indent=1, ensure_ascii=False))
    elif output == "csv":
        print(board_csv(board), end="")
    elif output == "md":
        print(board_markdown(board), end="")
    else:
        print_board(board, sys.stdout, order=order, matched=matched)
