"""`bench judge check`: ask a judge what is known, and say how far it can be trusted."""

from __future__ import annotations

import argparse
from pathlib import Path

from sftbench.cli.options import FORMATS, add_concurrency, add_format, add_vllm, print_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `bench judge check`."""
    parser.set_defaults(act=run)
    parser.add_argument("judge", help="judge: a part such as pairwise[model=...], vllm:MODEL, or URL#MODEL")
    parser.add_argument(
        "--probes", type=_number, default="100", metavar="N|all", help="pairs that each probe asks about (default: 100)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="folder with llmbar.jsonl, alpaca_eval_805.jsonl and alpaca_eval_outputs.jsonl, plain or .gz; without it "
        "the probes are short tasks made here",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="pairs with gold labels or human votes, also in the form of MT-Bench's; docs/judging.md has a line",
    )  # fmt: skip
    parser.add_argument(
        "--gold", metavar="mt-bench-human", help="the human votes of MT-Bench, from the hub or the local cache"
    )
    parser.add_argument("--chat", metavar="URL#MODEL", help="language model, where the judge names none itself")
    add_concurrency(parser)
    add_vllm(parser)
    parser.add_argument("--no-repeat", dest="repeat", action="store_false", help="do not ask the same a second time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of pairs (default: 0)")
    parser.add_argument("--store", type=Path, help="folder of step outputs, where the card is kept")
    add_format(parser, FORMATS)


def _number(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number or all, not '{text}'") from None


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.checking import JudgeCheck, check_judge
    from sftbench.cli.watching import Watching
    from sftbench.judging.card.render import card_markdown, card_rows, short_rows, title

    flags = {name: value for name, value in vars(options).items() if name not in ("output", "action", "act")}
    with Watching(tells_why=False) as watcher:
        card = check_judge(JudgeCheck(**flags), plugins=plugins.load(), watcher=watcher)
    if options.output == "json":
        print(card.to_json(), end="")
    elif options.output == "md":
        print(card_markdown(card), end="")
    elif options.output == "csv":
        print_rows(card_rows(card), "csv")
    else:
        print_rows(short_rows(card), "table", title=f"judge {title(card)}")
        for sentence in card.words:
            print(sentence)
    return 0
