"""Show what the store of step outputs holds, or remove some of it. A removed step is made again when it is needed."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from sftbench.cli.options import FORMATS, add_format, print_rows

NOT_ROOMS = ("card", "asked-again", "unfinished", "logs", "hashes")
"""What else lies in a store and may be removed; its locks may not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="folder of step outputs")
    parser.add_argument(
        "--remove",
        metavar="ROOM",
        help="remove the outputs of one room (such as model), 'card', 'unfinished', 'logs', 'hashes' or 'all'",
    )
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench.errors import UsageError, unknown_name
    from sftbench.plan import STAGES
    from sftbench.runner import default_store
    from sftbench.store import Store

    root = options.store or default_store()
    rooms = (*STAGES, *NOT_ROOMS)
    if options.remove is not None:
        if options.remove not in (*rooms, "all"):
            raise unknown_name("room", options.remove, (*rooms, "all"))
        if Store(root).is_in_use():
            raise UsageError(f"a run is working in the store {root}; remove nothing while it does")
        for room in rooms if options.remove == "all" else (options.remove,):
            shutil.rmtree(root / room, ignore_errors=True)
    rows = [_row(root, room) for room in rooms if (root / room).is_dir()]
    print_rows(rows, options.output, title=str(root))
    if not rows:
        print(f"the store {root} is empty", file=sys.stderr)
    return 0


def _row(root: Path, room: str) -> dict[str, object]:
    files = [path for path in (root / room).rglob("*") if path.is_file()]
    steps = sum(path.name == "record.json" for path in files)
    return {"room": room, "steps": steps, "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1)}
