"""Check a pool before it is used: `bench check contamination` finds evaluation items in it."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench.board.texts import percent
from sftbench.cli.options import FORMATS, add_format, print_rows
from sftbench.cli.visible import json_text, spaced_line, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sftbench.finding import ItemHit, ItemsFound

_AROUND = 160
"""Characters shown before and after the words that two texts have in common."""
_MOST = 600
"""Characters of the common words that are shown, from their start and from their end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="contamination")
    _add_contamination(
        actions.add_parser("contamination", help="find evaluation items in a pool, by words and by embeddings")
    )


def _add_contamination(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pool", help="file of rows or Hugging Face dataset id")
    parser.add_argument(
        "--against", required=True, metavar="EVAL",
        help="evaluation items: a pool file, or a benchmark file with questions, prompts or instructions",
    )  # fmt: skip
    parser.add_argument(
        "--by", choices=("words", "all"), default="all", help="words alone, or embeddings too (default: all)"
    )
    parser.add_argument(
        "--component", choices=("instruction", "response", "both"),
        help="side of rows and items that is compared (default: words of both, embeddings of instructions)",
    )  # fmt: skip
    parser.add_argument("--words", type=int, default=13, metavar="N", help="words in a row that count (default: 13)")
    parser.add_argument("--cosine", type=float, metavar="T", help="closeness of embeddings that counts (measured)")
    parser.add_argument("--embedder", default="minilm", help="encoder of texts: minilm, a folder or an id")
    parser.add_argument("--limit", type=int, metavar="N", help="read only the first rows of the pool")
    parser.add_argument("--show", type=int, default=20, metavar="N", help="items shown in a table (default: 20)")
    parser.add_argument("--out", type=Path, metavar="FILE.jsonl", help="also write every item found, with all its rows")
    parser.add_argument("--store", type=Path, help="folder of step outputs")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.cli.score_verb import check_suffix
    from sftbench.cli.watching import Watching
    from sftbench.finding import Search, search_pool

    if options.out is not None:
        check_suffix(options.out, (".jsonl",))
    shown_elsewhere = ("action", "output", "out", "show")
    flags = {name: value for name, value in vars(options).items() if name not in shown_elsewhere}
    with Watching() as watcher:
        checked = search_pool(Search(**flags), plugins=plugins.load(), watcher=watcher)
    if options.out is not None:
        _write(checked, options.out)
        print(f"written: {options.out}", file=sys.stderr)
    if options.output == "json":
        print(json_text({**checked.summary, "hits": [each.plain() for each in checked.item_hits()]}))
    elif options.output == "table":
        _print(checked, options)
    else:
        print_rows([_flat(each) for each in checked.item_hits()], options.output)
    return 0


def _write(checked: ItemsFound, out: Path) -> None:
    from sftbench.pools.arrow import replaced

    with replaced(out) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for hit in checked.item_hits():
            file.write(json_text({**hit.plain(), "rows": checked.pairs_of(hit.item_position)}, indent=None) + "\n")


def _flat(hit: ItemHit) -> dict[str, Any]:
    told = {name: value for name, value in hit.plain().items() if name not in ("run_in_item", "run_in_row", "by")}
    texts = {name: visible_line(value) for name, value in told.items() if isinstance(value, str)}
    return {**told, **texts, "by": " ".join(hit.by)}


def _print(checked: ItemsFound, options: argparse.Namespace) -> None:
    told = checked.summary
    found = f"{told['num_items_hit_by_words']} by words"
    if told["cosine"] is not None:
        found += f", {told['num_items_hit_by_embedding']} by embeddings (cosine {told['cosine']:g} and more)"
    print(
        f"{told['num_items_hit']} of {told['num_items']} items of {visible_line(Path(options.against).name)} stand in "
        f"{told['num_rows_hitting']} of {told['num_rows']} rows of {visible_line(Path(options.pool).name)}: {found}"
    )
    hits = islice(checked.item_hits(), max(options.show, 0))
    (_rich if sys.stdout.isatty() else _plain)(hits)
    left = told["num_items_hit"] - max(options.show, 0)
    if left > 0:
        print(f"{left} more; --show {told['num_items_hit']} shows all, --out FILE.jsonl writes them")


def _heading(hit: ItemHit) -> str:
    parts = ["the same prompt" if hit.is_whole else f"{percent(hit.share)} of its runs" if hit.share else ""]
    parts += [f"{hit.longest_run} word{'s' if hit.longest_run > 1 else ''} in a row"] if hit.longest_run else []
    parts += [f"cosine {hit.cosine:.3f}" if hit.cosine is not None else ""]
    rows = f"{hit.num_rows} row{'s' if hit.num_rows > 1 else ''}"
    return f"{visible_line(hit.item)} in {rows}, most in {visible_line(hit.row)}: {', '.join(filter(None, parts))}"


def _excerpt(text: str, run: tuple[int, int]) -> tuple[str, str, str]:
    """What stands before, within and after the common run, cut to what fits, and safe to show."""
    start, end = run
    if start == end:
        return visible_line(_cut(text, _MOST)), "", ""
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    lead, trail = "… " if start > _AROUND else "", " …" if len(text) > end + _AROUND else ""
    common = text[start:end]
    if len(common) > 2 * _MOST:
        common = f"{common[:_MOST]} […] {common[-_MOST:]}"
    return lead + spaced_line(before), spaced_line(common), spaced_line(after) + trail


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " …"


def _plain(hits: Iterable[ItemHit]) -> None:
    for hit in hits:
        print(f"\n{_heading(hit)}")
        for name, text, run in (("item", hit.item_text, hit.run_in_item), ("row", hit.row_text, hit.run_in_row)):
            before, common, after = _excerpt(text, run)
            print(f"  {name}: {before}" + (f"[[{common}]]{after}" if common else ""))


def _rich(hits: Iterable[ItemHit]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for hit in hits:
        table = Table(title=Text(_heading(hit)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        for name in ("evaluation item", "row of the pool"):
            table.add_column(name, ratio=1, overflow="fold")
        both = (_excerpt(hit.item_text, hit.run_in_item), _excerpt(hit.row_text, hit.run_in_row))
        table.add_row(*(Text.assemble(before, (common, "bold reverse"), after) for before, common, after in both))
        console.print(table)
