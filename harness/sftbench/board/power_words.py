"""What a board says of how much its entries can differ unseen: places, differences that would be told, lone numbers."""

from __future__ import annotations

from collections.abc import Iterator

from sftbench.board.table import WIN_RATE, Board, BoardRow, DetectableDifference
from sftbench.board.texts import NOTHING, label, one_line, plain_budget, signed


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
    """What true difference to random rows would be told, and which entry is nearest to it; empty without any."""
    found = detectable_at(board, budget)
    if found is None:
        return ""
    control, at = one_line(found.control), f" at {plain_budget(budget)}" if len(board.budgets) > 1 else ""
    seeds = f"{found.num_seeds} seed{'s' if found.num_seeds > 1 else ''}"
    items = f" and {found.num_items} items" if found.num_items else ""
    noise = "" if found.with_training_noise else ", had training no noise, which one seed cannot tell"
    told = f"With {seeds}{items}, {_told(found, f'{control}{at}')}{noise}.{_one_sided(board, found)}"
    entries = [(row, needed) for row in board.of(budget) if (needed := _needed(row)) is not None]
    if not entries:
        return told
    row, needed = min(entries, key=lambda each: each[1])
    assert row.against_baseline is not None
    size = signed(row.against_baseline.difference.mean, 1 if found.metric == WIN_RATE else 2)
    return (
        f"{told} {label(row)} would be told apart from {control} with {needed} seeds if its difference ({size}) stays; "
        "if that is the true one, the odds of it are about even."
    )


def _told(found: DetectableDifference, control: str) -> str:
    """The difference that the typical entry needs, and how it is over the entries."""
    metric, often = one_line(found.metric), "would be told in 80 % of such runs"
    if found.difference is not None:
        least, most = (None if each is None else _written(found, each) for each in (found.smallest, found.largest))
        most = most or "more than is possible"
        over = f" (over the entries: {least} to {most})" if least is not None and least != most else ""
        size = _written(found, found.difference)
        typical = " for the typical entry" if over else ""
        return f"a true difference to {control} of {size} on {metric} {often}{typical}, a smaller one less often{over}"
    if found.room_below is None or found.room_above is None:
        return f"no true difference to {control} {often}"
    room = f"{_written(found, found.room_below)} down, {_written(found, found.room_above)} up"
    none = f"no true difference to {control} on {metric} that is possible here ({room}) {often}"
    if found.smallest is None:
        return none
    return f"{none} for the typical entry; for the one that scatters least, {_written(found, found.smallest)} would"


def _one_sided(board: Board, found: DetectableDifference) -> str:
    """That entries cannot be better, or worse, than the control by so much, where that is so."""
    if found.difference is None:
        return ""
    bigger = board.bigger_is_better.get(found.metric, True)
    rooms = {"worse": found.room_below, "better": found.room_above}
    if not bigger:
        rooms = {"worse": found.room_above, "better": found.room_below}
    for word, room in rooms.items():
        if room is not None and room < found.difference:
            most = f"there is room for {_written(found, room)}"
            return f" Nothing can be {word} than {one_line(found.control)} by so much: {most}."
    return ""


def _needed(row: BoardRow) -> int | None:
    return row.against_baseline.seeds_to_tell if row.against_baseline else None


def _written(found: DetectableDifference, difference: float) -> str:
    return f"{difference:.1f}" if found.metric == WIN_RATE else f"{difference:.2g}"


def family_note(num_comparisons: int | None) -> str:
    """Why an interval may leave out 0 where nothing is told apart; empty for a comparison that stands alone."""
    if num_comparisons is None or num_comparisons < 2:
        return ""
    return f"(the interval is of this comparison alone; told apart is corrected for {num_comparisons} comparisons)"


def planned_notes(board: Board, budget: str) -> dict[str, str]:
    """What outcomes are corrected for: with what all are held to, and (without intervals) with matched controls."""
    found = detectable_at(board, budget)
    matched = sum(len(row.against_matched) for row in board.rows)
    return {
        "baseline": family_note(found.num_comparisons if found else None),
        "matched": f"(corrected for {matched} comparisons)" if matched > 1 else "",
    }


def lone_notes(board: Board) -> Iterator[str]:
    """Which metrics are numbers without items, and what their intervals are then."""
    lone = [one_line(name) for name, count in board.num_items.items() if not count and _measured(board, name)]
    if not lone:
        return
    are = "is a number" if len(lone) == 1 else "are numbers"
    yield (
        f"{' and '.join(lone)} {are} without a value per item: intervals are Student's from each entry's own seeds "
        "(as many degrees of freedom as seeds, less one; none from one seed, or where all seeds agree), wider as a "
        "rule, entries are paired by seed and not by item, and nothing of this covers the choice of items."
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
            "Place, 95 %: which places an entry can truly have, for all entries and budgets together: as many are "
            "shown to be better as are above the first of these, and as many shown to be worse as are below the last. "
            "A wide one says that the place is not known."
        )


FAMILIES = (
    "How often all this errs: each kind of comparison (all pairs; with the entry that all are held to; with "
    "matched controls) is one family over all budgets of the board and makes any wrong claim on at most 5 % of boards."
)
