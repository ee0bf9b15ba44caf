"""Choose rows of a pool by a method, without training; the rows come back in the form they had, with rank and score."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sftbench.cli.options import FORMATS, add_format, print_rows
from sftbench.cli.score_verb import add_source, check_suffix


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", help="a method and its parameters, such as tshirt[mode=official]")
    add_source(parser)
    parser.add_argument("--budget", required=True, help="200, 10%%, 50k tokens, 2e15 flops")
    parser.add_argument("--trainer", default="sft", help="trainer whose settings a budget in FLOPs counts with")
    parser.add_argument("--out", type=Path, help="file for the rows: .jsonl, .json (also .gz) or .parquet")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.choosing import select_rows
    from sftbench.cli.watching import Watching
    from sftbench.pools import write_rows

    if options.out is not None:
        check_suffix(options.out, (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet"))
    with Watching(tells_why=False) as watcher:
        choice = select_rows(
            options.method, pool=options.pool, budget=options.budget, plugins=plugins.load(), watcher=watcher,
            seed=options.seed, limit=options.limit, lm=options.lm, base=options.base, trainer=options.trainer,
            store=options.store, embedder=options.embedder, chat=options.chat, vllm=options.vllm,
            concurrency=options.concurrency,
        )  # fmt: skip
    selection = choice.selection
    if choice.generated is not None:
        told = {name: value for name, value in choice.generated.items() if name not in ("parents", "form")}
        print(f"generated: {json.dumps(told, ensure_ascii=False)}", file=sys.stderr)
    print(
        f"{len(selection.ids)} of {len(choice.pool)} rows by {options.method} ({selection.status}): "
        + json.dumps(dict(selection.report), ensure_ascii=False, default=str)[:600],
        file=sys.stderr,
    )
    if options.out is not None:
        write_rows(choice.pool, selection.ids, selection.scores, options.out)
        print(f"written: {options.out}", file=sys.stderr)
    if options.out is None or options.output != "table":
        scores = [None] * len(selection.ids) if selection.scores is None else [float(each) for each in selection.scores]
        rows = [
            {"rank": rank, "id": row_id, "score": score}
            for rank, (row_id, score) in enumerate(zip(selection.ids, scores, strict=True), start=1)
        ]
        print_rows(rows, options.output, title=options.method)
    return 0
