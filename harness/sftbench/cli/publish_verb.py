"""Publish a run as a bundle that others can check: board, records, configuration, versions, hashes of every input."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sftbench.cli.options import FORMATS, add_format, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="folder of a run's records, such as results/microcosm")
    parser.add_argument(
        "--to", required=True, metavar="DIR|github-pages|hf:ORG/NAME",
        help="a new folder; a commit on the branch gh-pages of this repository; a dataset on the Hugging Face hub",
    )  # fmt: skip
    parser.add_argument("--board", type=Path, help="folder of the run's board (default: leaderboards/NAME, if there)")
    parser.add_argument("--store", type=Path, help="store of the run: gives ids, provenance, rows and answers")
    parser.add_argument("--licence-of-pool", metavar="NAME", help="licence of the pool, such as cc-by-4.0")
    parser.add_argument("--with-rows", action="store_true", help="publish chosen rows, if that licence lets")
    parser.add_argument("--with-responses", action="store_true", help="publish the models' answers, for --rejudge")
    parser.add_argument("--dry-run", action="store_true", help="list files and sizes, and write nothing")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench.publishing.gather import BundleWanted
    from sftbench.publishing.publish import publish
    from sftbench.runner import default_store

    store = options.store or default_store()
    wanted = BundleWanted(
        results=options.results,
        board=options.board,
        store=store if store.is_dir() else None,
        licence_of_pool=options.licence_of_pool,
        with_rows=options.with_rows,
        with_responses=options.with_responses,
    )
    published = publish(wanted, options.to, dry_run=options.dry_run)
    total = sum(published.files.values())
    if options.dry_run or options.output != "table":
        print_rows(
            [{"file": name, "bytes": size} for name, size in published.files.items()],
            options.output,
            title=f"{len(published.files)} files, {total} bytes",
        )
    for note in published.notes:
        print(f"note: {note}", file=sys.stderr)
    done = "published" if published.written else "nothing was written; this would be published"
    print(f"{done}: {published.target}: {len(published.files)} files, {total} bytes", file=sys.stderr)
    print(f"seal {published.seal}", file=sys.stderr)
    print("tell the seal where the bundle is announced: it shows later changes", file=sys.stderr)
    return 0
