"""Score every row of a pool with one scorer; a row without a score keeps its place, with the reason."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_concurrency, add_format, add_vllm, print_rows

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scorer", help="a scorer and its parameters, such as ifd[variant=super]")
    add_source(parser)
    parser.add_argument("--out", type=Path, help="file for the scores: .parquet, .csv or .jsonl")
    add_format(parser, FORMATS)


def add_source(parser: argparse.ArgumentParser) -> None:
    """The flags that say which rows and which models."""
    parser.add_argument("--pool", required=True, help="file or Hugging Face dataset id")
    parser.add_argument("--limit", type=int, help="read only the first rows")
    parser.add_argument("--lm", help="model that scores rows: a folder or a Hugging Face id")
    parser.add_argument("--base", help="model that would be trained (default: the scoring model)")
    parser.add_argument("--embedder", default="auto", help="encoder of texts: auto, minilm, a folder or an id")
    parser.add_argument(
        "--chat", metavar="URL#MODEL", help="language model that parts may ask, or vllm:MODEL (default: stand-ins)"
    )
    add_concurrency(parser)
    add_vllm(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--store", type=Path, help="folder of step outputs")


def run(options: argparse.Namespace) -> int:
    from sftbench import plugins
    from sftbench.choosing import score_pool
    from sftbench.cli.watching import Watching
    from sftbench.commands import score_table

    if options.out is not None:
        check_suffix(options.out, (".parquet", ".csv", ".jsonl"))
    with Watching(tells_why=False) as watcher:
        pool, scores = score_pool(
            options.scorer, pool=options.pool, plugins=plugins.load(), watcher=watcher, seed=options.seed,
            limit=options.limit, lm=options.lm, base=options.base, store=options.store, embedder=options.embedder,
            chat=options.chat, vllm=options.vllm, concurrency=options.concurrency,
        )  # fmt: skip
    table = score_table(pool.ids, scores)
    if options.out is not None:
        _write(table, options.out)
        print(
            f"{len(table)} rows scored, {int(table['score'].isna().sum())} without a score: {options.out}",
            file=sys.stderr,
        )
    if options.out is None or options.output != "table":
        rows = table.sort_values("score", ascending=False, kind="stable")
        rows = rows.head(SHOWN) if options.output == "table" else rows
        print_rows(_plain(rows), options.output, title=f"{options.scorer}: the {len(rows)} best of {len(table)} rows")
    return 0


def check_suffix(out: Path, known: tuple[str, ...]) -> None:
    """Refuse a file that could not be written before any work is done."""
    from sftbench.errors import UsageError

    if not any(out.name.endswith(suffix) for suffix in known):
        raise UsageError(f"--out {out}: expected a file ending in {', '.join(known)}")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.absolute().parent}")


def _write(table: Any, out: Path) -> None:
    from sftbench.pools.arrow import replaced

    with replaced(out) as partial:
        if out.suffix == ".parquet":
            table.to_parquet(partial, index=False)
        elif out.suffix == ".csv":
            table.to_csv(partial, index=False)
        else:
            table.to_json(partial, orient="records", lines=True, force_ascii=False)


def _plain(table: Any) -> list[dict[str, Any]]:
    """Rows for printing: numbers with six digits, an empty cell for what is missing."""
    rows: list[dict[str, Any]] = []
    for row in table.to_dict(orient="records"):
        rows.append({name: _shown(value) for name, value in row.items()})
    return rows


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
