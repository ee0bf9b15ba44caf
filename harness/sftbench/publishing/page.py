"""The page of a bundle: what it is, and how to check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sftbench.board.markdown import escaped
from sftbench.board.texts import one_line


def readme_of(about: Mapping[str, Any]) -> str:
    """`README.md` of a bundle, from its `bundle.json` alone."""
    pool, base = about["pool"], about["base"]
    licence = about["licence_of_pool"] or "not stated: ids and hashes of rows only"
    made = str(about["made_with"]["sftbench"])
    lines = [
        f"# {_plain(about['name'])}",
        f"A comparison of ways to choose fine-tuning data, published with sftbench {_plain(made)}. The board is "
        "[board/README.md](board/README.md); it was made from `records/` and from nothing else.",
        "\n".join(
            [
                f"- pool: {_plain(pool['name'])}, {pool['num_rows']} rows, `{_plain(pool['key'])}`",
                f"- base model: {_plain(base['name'])}, `{_plain(base['fingerprint'])}`",
                f"- cells: {about['num_cells']}",
                f"- licence of the pool: {_plain(licence)}",
            ]
        ),
        "Check it:",
        "```sh\nbench verify .                                   # hashes, and every number of the board anew\n"
        "bench verify . --reproduce 'LABEL@BUDGET/SEED'   # runs one row again\n```",
        "Until somebody has done so, every number here is self-reported.",
    ]
    return "\n\n".join(lines) + "\n"


def _plain(text: Any) -> str:
    return escaped(one_line(str(text)))
