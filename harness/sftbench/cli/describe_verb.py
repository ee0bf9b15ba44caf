"""Measure how diverse the rows of a pool or of a selection are; with `--against`, how far they stand from real rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_format, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pool", help="file of rows, such as 'bench select' writes, or Hugging Face dataset id")
    parser.add_argument(
        "--component", choices=("instruction", "response", "both"), default="response",
        help="side of the rows that is measured (default: response)",
    )  # fmt: skip
    parser.add_argument("--against", metavar="POOL", help="real rows: adds KL(real || these), and sets the middle band")
    parser.add_argument("--lm", help="model whose tokenizer counts (default: the embedded suite's base)")
    parser.add_argument("--embedder", default="auto", help="encoder of texts: auto, minilm, a folder or an id")
    parser.add_argument("--limit", type=int, help="read only the first rows")
    parser.add_argument(
        "--token-budget", type=int, metavar="N",
        help="tokens at which sets are compared (default: half of the tokens, at most a million)",
    )  # fmt: skip
    parser.add_argument("--kl-lm", action="store_true", help="KL by two small language models, too (minutes)")
    parser.add_argument(
        "--mode", choices=("paper", "paper_literal"), default="paper",
        help="paper_literal keeps two printed mistakes, for comparison with printed figures only",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=42, help="seed of orders and subsets (default: 42)")
    parser.add_argument("--store", type=Path, help="folder of step outputs")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.cli.watching import Watching
    from sftbench.describing import Description, describe_pool

    flags = {name: value for name, value in vars(options).items() if name != "output"}
    with Watching(tells_why=False) as watcher:
        rows = describe_pool(Description(**flags), plugins=plugins.load(), watcher=watcher)
    shown = rows if options.output == "json" else [_rounded(row) for row in rows]
    print_rows(shown, options.output, title=f"{options.pool}: {options.component}")
    return 0


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}
