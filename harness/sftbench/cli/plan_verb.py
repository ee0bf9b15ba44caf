"""Show what a run would do: its cells, what the store has, and the predicted time, tokens and disk of the rest."""

from __future__ import annotations

import argparse

from sftbench.cli.options import FORMATS, add_format, add_run_settings, prepared, print_rows
from sftbench.cli.watching import Watching


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_settings(parser)
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    import sys

    from sftbench.predict import predict
    from sftbench.runner import require_places

    planned = prepared(options)
    require_places(planned)
    with Watching() as watcher:
        prediction = predict(planned, watcher)
    print_rows(prediction.cells, options.output, title=f"{planned.name}: {len(prediction.cells)} cells")
    print(prediction.summary, file=sys.stderr if options.output != "table" else sys.stdout)
    return 0
