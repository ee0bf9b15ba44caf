"""Judgement: two files of answers, scores from verdicts, how far a judge can be trusted, and what serves judges."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sftbench.cli import judge_check
from sftbench.cli.options import FORMATS, add_concurrency, add_format, add_vllm, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="score|pairs|check|install")
    _add_score(actions.add_parser("score", help="compute published scores, with intervals, from verdicts alone"))
    _add_pairs(actions.add_parser("pairs", help="have a judge compare two files of answers, without any run"))
    judge_check.add_arguments(actions.add_parser("check", help="find out how far a judge can be trusted: its card"))
    _add_install(actions.add_parser("install", help="make the environment of vLLM, which serves judges as vllm:MODEL"))


def _add_install(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(act=_install)
    parser.add_argument("--cpu", action="store_true", help="vLLM for machines without a GPU")
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER",
        help="where to make it; --vllm or SFTBENCH_VLLM must name it then (default: a folder in the user's cache)",
    )  # fmt: skip


def _install(options: argparse.Namespace) -> int:
    from sftbench.serving.environment import VARIABLE, default_folder
    from sftbench.serving.install import install

    into = options.into or default_folder()
    install(into.expanduser().absolute(), cpu=options.cpu)
    if into != default_folder():
        print(f"set {VARIABLE}={into.expanduser().absolute()} to use it", file=sys.stderr)
    return 0


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(act=_score)
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


def _add_pairs(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(act=_pairs)
    parser.add_argument("model", type=Path, metavar="A", help="answers of the model; docs/judging.md tells the shapes")
    parser.add_argument("baseline", type=Path, metavar="B", help="answers of the baseline to the same prompts")
    parser.add_argument(
        "--judge", required=True, metavar="JUDGE",
        help="checker, reference, pairwise[model=...], or a language model: vllm:MODEL, URL#MODEL",
    )  # fmt: skip
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="prompts, and reference answers if it has any")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the verdicts go, for 'bench judge score'")
    parser.add_argument("--chat", metavar="URL#MODEL", help="language model of a judge that names none")
    add_concurrency(parser)
    add_vllm(parser)
    parser.add_argument("--embedder", default="auto", help="encoder of texts: auto, minilm, a folder or an id")
    parser.add_argument("--resamples", type=int, metavar="N", help="bootstrap draws (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default: 0)")
    parser.add_argument("--store", type=Path, help="folder of step outputs")
    add_format(parser, FORMATS)


def _names(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def run(options: argparse.Namespace) -> int:
    return int(options.act(options))


def _pairs(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.cli.watching import Watching
    from sftbench.judgement import PairsWanted, judge_files

    flags = {name: value for name, value in vars(options).items() if name not in ("action", "act", "output")}
    with Watching(tells_why=False) as watcher:
        judged = judge_files(PairsWanted(**flags), plugins=plugins.load(), watcher=watcher)
    num_refused = sum("model_error" in line.get("flags", ()) for line in judged.lines)
    if num_refused:
        print(
            f"bench: {num_refused} pairs have no whole verdict because the judge's server refused or failed over them; "
            "the same command asks these again, and nothing else",
            file=sys.stderr,
        )
    if options.output in ("table", "md"):
        rows: list[dict[str, Any]] = [
            {"of the judgement": name, "value": value} for name, value in _for_people(judged.summary).items()
        ]
    else:
        rows = [judged.summary]
    print_rows(rows, options.output, title=f"{options.model} against {options.baseline}")
    return 0


def _score(options: argparse.Namespace) -> int:
    from sftbench.judging.score import score_file
    from sftbench.judging.scoring import Scoring

    flags = {name: value for name, value in vars(options).items() if name not in ("action", "act", "output")}
    rows = score_file(Scoring(**flags))
    if options.output in ("table", "md"):
        rows = [_for_people(row) for row in rows]
    print_rows(rows, options.output, title=f"{options.verdicts}: {options.metric}, {options.mode}")
    return 0


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """Two digits, and no coefficients."""
    shown = {name: value for name, value in row.items() if not name.startswith("w_")}
    return {name: f"{value:.2f}" if isinstance(value, float) else value for name, value in shown.items()}
