"""How a number, an interval or a label is written, the same on paper and in the terminal."""

from __future__ import annotations

from sftbench.board.statistics import Estimate
from sftbench.board.table import WIN_RATE, Board, BoardRow
from sftbench.hidden import is_hidden

NOTHING = "–"
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def one_line(text: str, longest: int = 160) -> str:
    """Text without line breaks and control characters, cut with an ellipsis."""
    head = text[: 16 * longest]
    kept = "".join(" " if is_hidden(letter) else letter for letter in head)
    line = " ".join(kept.split())
    return line if len(line) <= longest and len(head) == len(text) else line[: longest - 1].rstrip() + "…"


def label(row: BoardRow) -> str:
    """The method as it was asked for, with what it is matched to."""
    matched = f" matched to {row.matched_to}" if row.matched_to and row.matched_to not in row.label else ""
    return one_line(row.label + matched)


def plain_budget(budget: str) -> str:
    """`60 rows`, or a budget as it was asked for."""
    return f"{budget} rows" if budget.isdigit() else one_line(budget)


def budget_name(board: Board, budget: str) -> str:
    """`5% (25 rows)` where all methods train on as many rows, `60 rows`, or as it was asked for."""
    if budget.isdigit():
        return plain_budget(budget)
    counts = {row.training.num_rows for row in board.of(budget) if row.kind == "method" and row.training}
    whole = len(counts) == 1 and all(each == int(each) for each in counts)
    return one_line(budget) + (f" ({counts.pop():.0f} rows)" if whole else "")


def decimals(estimates: list[Estimate], name: str) -> int:
    """Digits after the point for a column: one for win rates, else two, or three where an interval is narrow."""
    if name == WIN_RATE:
        return 1
    widths = [each.high - each.low for each in estimates if each.low is not None and each.high is not None]
    return 3 if widths and min(widths) < 0.04 else 2


def interval(estimate: Estimate | None, digits: int) -> str:
    """`0.52 [0.47, 0.57]`."""
    if estimate is None:
        return NOTHING
    mean = fixed(estimate.mean, digits)
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{fixed(estimate.low, digits)}, {fixed(estimate.high, digits)}]"


def fixed(value: float, digits: int) -> str:
    """`0.05`; what rounds to nothing has no sign."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float, digits: int) -> str:
    """`+0.05`; what rounds to nothing has no sign but plus."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "+", 1) if float(text) == 0 else text


def percent(share: float | None) -> str:
    """A share between 0 and 1 as a percentage, with one decimal below ten."""
    if share is None:
        return NOTHING
    return f"{100 * share:.1f}%" if 0 < share < 0.0995 else f"{100 * share:.0f}%"


def amount(value: float | None) -> str:
    """Three significant digits with a unit prefix: `1.23T`."""
    if value is None:
        return NOTHING
    for size, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def count(value: float | None) -> str:
    """A mean number of rows or tokens, whole where it is whole."""
    return NOTHING if value is None else f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """`0.4 s`, `35 s`, `12 min`, `3.1 h`."""
    if value is None:
        return NOTHING
    if value < 120:
        return f"{value:.0f} s" if value >= 9.95 else f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def megabytes(value: float | None) -> str:
    """`812 MB`, decimal."""
    return NOTHING if value is None else f"{value / 1e6:.0f} MB"
