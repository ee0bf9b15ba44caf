"""One board from several people's bundles or results folders, if they were made under the same terms."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sftbench.cli.options import FORMATS, add_format, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", type=Path, nargs="+", help="bundles (folders or archives) and results folders")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the merged bundle")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench.publishing.merge import merge

    merged = merge(options.sources, options.out)
    rows = [{"row": each.label, "budget": each.budget, "level": each.level} for each in merged.levels]
    print_rows(rows, options.output, title=f"{options.out}: what is known of each row")
    print(f"merged: {options.out}   board: {options.out / 'board'}   seal {merged.published.seal}", file=sys.stderr)
    return 0
