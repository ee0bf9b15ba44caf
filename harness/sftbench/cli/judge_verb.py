"""Judgement by language models: scores from a file of verdicts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_format, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="score")
    _add_score(actions.add_parser("score", help="compute published scores, with intervals, from verdicts alone"))


def _add_score(parser: argparse.ArgumentParser) -> None:
    # The names are checked where they are known, so that help needs no numerical library.
    parser.add_argument(
        "verdicts", type=Path, help="JSONL file of verdicts (docs/judging.md tells its keys), or results/NAME"
    )
    parser.add_argument("--metric", required=True, metavar="win-rate|alpaca-lc|arena-style", help="score to compute")
    parser.add_argument(
        "--mode", default="paper", metavar="paper|official",
        help="official is the authors' code to the letter, mistakes included (default: paper)",
    )  # fmt: skip
    parser.add_argument(
        "--form", metavar="v1|noreg|minimal|joint",
        help="length control: the form of the model (default: the fullest that the files allow)",
    )  # fmt: skip
    parser.add_argument("--difficulty", type=Path, metavar="CSV", help="length control: difficulty of the instructions")
    parser.add_argument("--gamed", type=Path, metavar="CSV", help="length control: verdicts on gamed baselines")
    parser.add_argument(
        "--control", type=_names, metavar="length,markdown", help="style control: what to control for (default: both)"
    )
    parser.add_argument("--weight", type=int, metavar="N", help="Arena-Hard: what a clear win counts (default: 3)")
    parser.add_argument("--resamples", type=int, metavar="N", help="bootstrap draws (default: 1000; official 100)")
    parser.add_argument("--expected", type=int, metavar="N", help="prompts of the benchmark, where the file has fewer")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    parser.add_argument("--judge", metavar="NAME", help="which judge of results/NAME (default: the first)")
    add_format(parser, FORMATS)


def _names(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def run(options: argparse.Namespace) -> int:
    from sftbench.judging.score import score_file
    from sftbench.judging.scoring import Scoring

    flags = {name: value for name, value in vars(options).items() if name not in ("action", "output")}
    rows = score_file(Scoring(**flags))
    if options.output in ("table", "md"):
        rows = [_for_people(row) for row in rows]
    print_rows(rows, options.output, title=f"{options.verdicts}: {options.metric}, {options.mode}")
    return 0


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """Two digits, and no coefficients."""
    shown = {name: value for name, value in row.items() if not name.startswith("w_")}
    return {name: f"{value:.2f}" if isinstance(value, float) else value for name, value in shown.items()}
