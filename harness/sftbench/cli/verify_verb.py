"""Check a published bundle: hashes, every number of its board, and, if asked, judgements and a row made again."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench.cli.options import add_concurrency, add_format, add_vllm, print_rows

if TYPE_CHECKING:
    from sftbench.publishing.checking import Checked
    from sftbench.publishing.layout import Discrepancy

AT_MOST = 30
"""Mismatches printed one by one."""
OWN = {
    "pool": "where your copy of the pool lies", "base": "where your copy of the base model lies",
    "heldout": "where your copy of the held-out rows lies", "lm": "where your copy of the scoring model lies",
    "embedder": "encoder of texts", "chat": "language model for judges and scorers, as URL#MODEL or vllm:MODEL",
    "task-data": "folder with your copies of prompts, tasks and files of answers",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder, .tar.gz, .tar or .zip file of a bundle")
    parser.add_argument("--seal", metavar="SHA256", help="what the publisher told elsewhere; 16 digits or more of it")
    parser.add_argument("--rejudge", metavar="SHARE", help="judge a random part of the items again, such as 5%%")
    parser.add_argument("--of", metavar="JUDGE", help="whose verdicts --rejudge compares (default: the first judge's)")
    parser.add_argument(
        "--judge", help="who judges here, for --rejudge and --reproduce: vllm:MODEL, URL#MODEL or a judge's name; "
        "none: reproduce without win rates (default: judges of the bundle that are no language models)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of that random part (default: 0)")
    parser.add_argument("--reproduce", metavar="ROW", help="run LABEL@BUDGET/SEED again and compare")
    parser.add_argument("--tolerance", type=float, help="how far a reproduced mean may be away (default: 0.02)")
    parser.add_argument("--name", default="", help="name under which you attest a reproduction (default: anonymous)")
    for name, about in OWN.items():
        parser.add_argument(f"--{name}", help=about)
    parser.add_argument(
        "--allow-code-execution", action="store_true", default=None,
        help="let evaluators of the run execute code that models wrote, in a sandbox",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes at a time")
    add_concurrency(parser)
    add_vllm(parser)
    parser.add_argument("--store", type=Path, help="store for what is made again (default: one for this bundle alone)")
    add_format(parser, ("table", "json"))


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.cli.watching import Watching
    from sftbench.publishing.checking import ChecksWanted, check
    from sftbench.publishing.own import OWN as NAMES
    from sftbench.publishing.own import Own, judges_given
    from sftbench.settings import share_of

    own = Own(settings={name: getattr(options, name) for name in NAMES}, judges=judges_given(options.judge))
    asked = ChecksWanted(
        seal=options.seal,
        rejudge=share_of(options.rejudge, "--rejudge") if options.rejudge else None,
        of=options.of,
        seed=options.seed,
        reproduce=options.reproduce,
        tolerance=options.tolerance,
        name=options.name,
        own=own,
    )
    if asked.runs_something:
        with Watching(tells_why=False) as watcher:
            checked = check(options.bundle, asked, plugins=plugins.load(), watcher=watcher)
    else:
        checked = check(options.bundle, asked)
    _show(checked, options.output)
    return 0 if checked.holds else 6


def _further(findings: Sequence[Discrepancy]) -> Iterator[str]:
    """How many more there are, in which files: one wrong record moves numbers on many pages."""
    if findings:
        counted = Counter(each.where for each in findings)
        named = ", ".join(f"{where} ({count})" for where, count in counted.items())
        yield f"mismatch: {len(findings)} more, all told with -o json, in {named}"


def _show(checked: Checked, output: str) -> None:
    verification = checked.verification
    levels: list[dict[str, Any]] = [
        {"row": each.label, "budget": each.budget, "level": each.level} for each in verification.levels
    ]
    if output == "json":
        told = {"holds": checked.holds, **asdict(verification), "rejudged": None, "reproduced": None}
        for name in ("rejudged", "reproduced"):
            part = getattr(checked, name)
            told[name] = asdict(part) if part is not None else None
        print(json.dumps(told, indent=1, ensure_ascii=False, default=str))
        return
    for finding in checked.findings[:AT_MOST]:
        print(f"mismatch: {finding}")
    for line in _further(checked.findings[AT_MOST:]):
        print(line)
    if levels:
        print_rows(levels, output, title=f"{verification.bundle}: what is known of each row")
    for line in checked.lines():
        print(line)
    for note in checked.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"seal {verification.seal}", file=sys.stderr)
