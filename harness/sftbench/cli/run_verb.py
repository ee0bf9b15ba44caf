"""Compare methods on one pool, base model and budget: choose, train, evaluate, and print the leaderboard."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_format, add_run_settings, prepared
from sftbench.cli.watching import Watching
from sftbench.runner import Run, carry_out, exit_code_of, first_failure, require_store


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
    """Carry a run out, write results and board, print the board. Exit code 1 when a cell failed."""
    require_store(planned)
    interrupted = False
    with Watching() as watcher:
        try:
            outcomes = carry_out(planned, watcher)
        except KeyboardInterrupt:
            interrupted = True
            from sftbench.runner import known_outcomes

            outcomes, _ = known_outcomes(planned.plan, planned.store, "missing")
    unread = None if interrupted else first_failure(planned, outcomes, "prepare")
    if unread is not None:
        raise unread
    folder, cells = _write(planned, outcomes)
    if interrupted:
        raise KeyboardInterrupt
    if not cells:
        print("bench: nothing is finished yet, so there is no board", file=sys.stderr)
        return 1
    _show(planned, folder, output)
    failed = [cell for cell in cells if cell["status"] == "failed"]
    missing = len(planned.plan.cells) - len(cells)
    if failed:
        print(
            f"bench: {len(failed)} of {len(planned.plan.cells)} cells failed; '--redo failed' tries them again",
            file=sys.stderr,
        )
    if missing:
        print(f"bench: {missing} cells are not done", file=sys.stderr)
    return exit_code_of(planned, outcomes, num_failed=len(failed)) or int(missing > 0)


def _write(planned: Run, outcomes: Any) -> tuple[Path, list[dict[str, Any]]]:
    from sftbench.results import write_results

    return write_results(planned, outcomes)


def _show(planned: Run, folder: Path, output: str) -> None:
    from sftbench.board.build import build_board
    from sftbench.board.render import write_board
    from sftbench.cli.board_verb import show_board

    board = build_board(folder)
    out = planned.settings.board or Path("leaderboards") / planned.name
    write_board(board, out)
    show_board(board, output)
    print(f"records: {folder}   board: {out}", file=sys.stderr)
