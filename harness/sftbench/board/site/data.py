"""What a page loads only when asked: values per held-out item and chosen rows, as small scripts that hold data alone.

A page that was opened from disk may not fetch a JSON file, but it may add a script. Numbers that are 0, 1/2 or 1
throughout are one letter per item (`0`, `h`, `1`, `-` for none); others are whole thousandths.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sftbench.board.site.records import CellFile

_LETTERS = {0.0: "0", 0.5: "h", 1.0: "1", None: "-"}
MOST_POSITIONS = 100_000
"""Characters of positions above which a row's selection is left to its record."""


class ItemLists:
    """The lists of item ids that rows share, each written once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], int] = {}

    def number(self, ids: Sequence[str]) -> int:
        """The number by which a row names its list."""
        return self._found.setdefault(tuple(ids), len(self._found))

    def script(self) -> str:
        """All lists as a script."""
        return as_script("sftbenchItems", list(self._found))


def as_script(receiver: str, content: Any) -> str:
    """A script that hands JSON to the function `receiver` of the page, and can be nothing else."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return f"{receiver}({text.replace('<', chr(92) + 'u003c')});\n"


def row_script(files: Iterable[CellFile], items: ItemLists) -> str | None:
    """Values and positions of the finished cells of a row; None where there are none."""
    told = [_cell(file, items) for file in files if file.cell.status == "done"]
    kept = [each for each in told if each["values"] or each.get("rows")]
    return as_script("sftbenchRow", kept) if kept else None


def _cell(file: CellFile, items: ItemLists) -> dict[str, Any]:
    cell = file.cell
    values = [
        {"metric": metric, "items": items.number(evaluation.items_of(metric)), "of": packed(found)}
        for _, evaluation in sorted(cell.evaluations.items())
        for metric, found in sorted(evaluation.items.items())
    ]
    if cell.verdicts is not None:
        name = f"preferred to {cell.verdicts.baseline}"
        values.append(
            {"metric": name, "items": items.number(cell.verdicts.ids), "of": packed(cell.verdicts.preference)}
        )
    told: dict[str, Any] = {"budget": cell.budget, "seed": cell.seed, "values": values}
    positions = cell.selection.positions if cell.selection else None
    if positions is not None and len(positions) <= MOST_POSITIONS:
        told |= {"rows": positions, "pool": cell.pool.num_rows}
    return told


def packed(values: Sequence[float | None]) -> str | list[int | None]:
    """Values in as few letters as they take."""
    if all(value in _LETTERS for value in values):
        return "".join(_LETTERS[value] for value in values)
    return [None if value is None else round(1000 * value) for value in values]
