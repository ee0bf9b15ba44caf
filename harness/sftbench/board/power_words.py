"""What a board says of how much its rows can differ unseen: places, differences that would be told, lone numbers."""

from __future__ import annotations

from collections.abc import Iterator

from sftbench.board.table import WIN_RATE, Board, BoardRow, DetectableDifference
from sftbench.board.texts import NOTHING, label, one_line


def places(row: BoardRow) -> str:
    """The interval of the rank: `1 to 7`, `3`, or a dash."""
    if row.places is None:
        return NOTHING
    best, worst = row.places
    return str(best) if best == worst else f"{best} to {worst}"


def detectable_at(board: Board, budget: str) -> DetectableDifference | None:
    """What the planned comparisons of a budget could tell on the metric that sorts."""
    return next((each for each in board.detectable if (each.budget, each.metric) == (budget, board.sort_metric)), None)


def detectable_words(board: Board, budget: str) -> str:
    """What true difference to random rows would be told, and which row is nearest to being told; empty without any."""
    found = detectable_at(board, budget)
    if found is None:
        return ""
    control, at = one_line(found.control), f" at {one_line(budget)}" if len(board.budgets) > 1 else ""
    seeds = f"{found.num_seeds} seed{'s' if found.num_seeds > 1 else ''}"
    items = f" and {found.num_items} items" if found.num_items else ""
    noise = "" if found.with_training_noise else ", had training no noise, which one seed cannot tell"
    if found.difference is None:
        told = f"With {seeds}{items}, no true difference to {control}{at} would be told in 80 % of such runs{noise}."
    else:
        told = (
            f"With {seeds}{items}, a true difference to {control}{at} of {_written(found)} on "
            f"{one_line(found.metric)} would be told in 80 % of such runs, a smaller one less often{noise}."
        )
    rows = [(row, needed) for row in board.of(budget) if (needed := _needed(row)) is not None]
    if not rows:
        return told
    row, needed = min(rows, key=lambda each: each[1])
    return f"{told} {label(row)} would be told apart from {control} with {needed} seeds, if its difference stays."


def _needed(row: BoardRow) -> int | None:
    return row.against_baseline.seeds_to_tell if row.against_baseline else None


def _written(found: DetectableDifference) -> str:
    assert found.difference is not None
    return f"{found.difference:.1f}" if found.metric == WIN_RATE else f"{found.difference:.2g}"


def detectable_notes(board: Board) -> Iterator[str]:
    """A sentence per budget."""
    yield from filter(None, (detectable_words(board, budget) for budget in board.budgets))


def lone_notes(board: Board) -> Iterator[str]:
    """Which metrics are numbers without items, and what their intervals are then."""
    lone = [one_line(name) for name, count in board.num_items.items() if not count and _measured(board, name)]
    if not lone:
        return
    are = "is a number" if len(lone) == 1 else "are numbers"
    yield (
        f"{' and '.join(lone)} {are} without a value per item: intervals are Student's from each row's own seeds "
        "(as many degrees of freedom as seeds, less one; none from one seed, or where all seeds agree), wider as a "
        "rule, rows are paired by seed and not by item, and nothing of this covers the choice of items."
    )


def _measured(board: Board, name: str) -> bool:
    return any(name in row.metrics for row in board.rows)


def held_out(board: Board) -> str:
    """How many items each metric has, as a list in words."""
    return "; ".join(
        f"{one_line(name)} {count} items" if count else f"{one_line(name)} a number without items"
        for name, count in board.num_items.items()
    )


def places_legend(board: Board) -> Iterator[str]:
    """What the intervals of ranks mean."""
    if any(row.places for row in board.rows):
        yield (
            "Place, 95 %: which places a row can truly have, for all rows and budgets together: as many rows are shown "
            "to be better as are above the first of these, and as many shown to be worse as are below the last. A wide "
            "one says that the place is not known."
        )


FAMILIES = (
    "How often all this errs: each kind of comparison (all pairs; with the row that all are held to; with matched "
    "controls) is one family over all budgets of the board and makes any wrong claim on at most 5 % of boards."
)
