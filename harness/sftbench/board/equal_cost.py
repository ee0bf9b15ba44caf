"""Methods against what `random` makes of the same total compute: the comparison, the order by it, and what it says.

Total compute is what it takes to make a model: FLOPs of selecting, generating and training. Evaluating and judging are
no part of it. The control `random-compute(METHOD)` is random rows, as many as one training of that total can take.
"""

from __future__ import annotations

from dataclasses import dataclass

from sftbench.board import texts
from sftbench.board.break_even import EVERYTHING
from sftbench.board.columns import METHOD, OUTCOMES, RowColumn
from sftbench.board.making import CONTROL, estimate_of, front, making_flops
from sftbench.board.ranking import CHANCE
from sftbench.board.table import Board, BoardRow, BreakEven, MatchedComparison

AS_MUCH = 0.05
"""Compute that differs by no more than this share is the same: random rows come whole."""
WIDE = 100
"""An interval whose ends differ by more than this factor leaves nothing worth telling of the estimate in it."""


@dataclass(frozen=True, kw_only=True)
class AtEqualCompute:
    """A row against random rows that were given its total compute.

    `share` is how much of that compute they took: less than all where the pool has no more rows to train on.
    """

    control: BoardRow
    comparison: MatchedComparison
    share: float

    @property
    def shows(self) -> str:
        """What follows at equal compute: `pays`, `does not pay` or `open`.

        Beating random with less compute shows nothing at the same, nor does losing to random with more.
        """
        if self.comparison.outcome == "better" and self.share >= 1 - AS_MUCH:
            return "pays"
        if self.comparison.outcome == "worse" and self.share <= 1 + AS_MUCH:
            return "does not pay"
        return "open"

    @property
    def had_all(self) -> bool:
        """Whether random had the compute of the row, or more."""
        return self.share >= 1 - AS_MUCH


def at_equal_compute(board: Board, row: BoardRow) -> AtEqualCompute | None:
    """None where there is no such control, or some of the row's FLOPs are not known."""
    comparison = next((each for each in row.against_matched if each.control == CONTROL), None)
    total = making_flops(row)
    if comparison is None or not total:
        return None
    for control in board.of(row.budget):
        if control.method == CONTROL and control.matched_to == row.label and (spent := making_flops(control)):
            return AtEqualCompute(control=control, comparison=comparison, share=spent / total)
    return None


def short_of_compute(board: Board, budget: str) -> list[tuple[BoardRow, AtEqualCompute]]:
    """The rows of a budget whose random rows had less compute than they."""
    found = ((row, at_equal_compute(board, row)) for row in board.of(budget))
    return [(row, each) for row, each in found if each is not None and not each.had_all]


def short_words(board: Board, budget: str) -> str:
    """`deita 80%, tshirt 44% only: the pool ended`; empty where all random rows had the compute they are matched in."""
    short = short_of_compute(board, budget)
    if not short:
        return ""
    told = ", ".join(f"{texts.label(row)} {texts.percent(each.share)}" for row, each in short)
    ended = all(takes_all(board, each.control) for _, each in short)
    return f"{told} only{': the pool ended' if ended else ''}"


def takes_all(board: Board, control: BoardRow) -> bool:
    """Whether random rows are all that the pool has."""
    return control.training is not None and control.training.num_rows >= board.pool.num_rows


def above_line(board: Board, row: BoardRow) -> float | None:
    """By how much a row is above the line through all random rows at its total compute; None where not known."""
    found = estimate_of(row, board.sort_metric)
    if found is None or row.break_even is None or row.break_even.random_line is None:
        return None
    return found.mean - row.break_even.random_line


def is_borne_out(board: Board, row: BoardRow) -> bool:
    """Whether random with the same compute shows what the line through all random rows has it pay from.

    True where there is no such control: then there is nothing that the line could be at odds with.
    """
    control, found = at_equal_compute(board, row), row.break_even
    if control is None or found is None:
        return True
    pays_here = found.factor is not None and found.factor <= 1
    return control.shows == ("pays" if pays_here else "does not pay")


def is_vague(found: BreakEven) -> bool:
    """Whether the interval of what choosing pays from is too wide for an estimate to tell anything.

    So it is where it goes from some size to never, or over more than a factor of `WIDE`.
    """
    if (found.factor is None) != (found.low is None):
        return True
    return found.low is not None and is_wide(found.low, found.factor, found.high)


def is_wide(low: float, middle: float | None, high: float | None) -> bool:
    """Whether `high` (None: without end) is more than `WIDE` times `low`, or times `middle` where that is 0."""
    return high is None or high > WIDE * (low or middle or 0.0)


def has_control(board: Board, budget: str) -> bool:
    """Whether a budget has any random rows with the total compute of a method."""
    return any(row.method == CONTROL for row in board.of(budget))


def difference(board: Board, row: BoardRow) -> float | None:
    """By how much a row is above random with the same compute; 0 for random rows themselves, None where not known."""
    found = at_equal_compute(board, row)
    if found is not None:
        return found.comparison.difference.mean
    is_random = row.label in (CHANCE, EVERYTHING) and row.rank is not None
    return 0.0 if is_random and has_control(board, row.budget) else None


def by_equal_cost(board: Board, budget: str) -> list[BoardRow]:
    """The rows of a budget that are matched to no other, by their difference to random with the same compute.

    Those without come last, in the order of the board.
    """
    rows = [row for row in board.of(budget) if row.matched_to is None]
    if not has_control(board, budget):
        return rows
    sign = -1 if board.bigger_is_better.get(board.sort_metric, True) else 1
    known = [(sign * value, at) for at, row in enumerate(rows) if (value := difference(board, row)) is not None]
    first = [at for _, at in sorted(known)]
    return [rows[at] for at in first] + [row for at, row in enumerate(rows) if at not in set(first)]


def equal_cost_columns(board: Board, budget: str, *, compact: bool = False, tight: bool = False) -> list[RowColumn]:
    """Score and total cost, random with the same, and from when on choosing pays; none where no row has chosen.

    `compact` leaves out the total in random rows, `tight` random with the same compute, which its difference tells.
    """
    rows = board.of(budget)
    if not any(row.break_even for row in rows):
        return []
    metric = board.sort_metric
    digits = texts.decimals([found for row in rows if (found := estimate_of(row, metric)) is not None], metric)
    best = {row.label for row in front(board, budget)}
    score = RowColumn(
        heading=texts.one_line(metric), text=lambda row: texts.interval(estimate_of(row, metric), digits), flexible=True
    )
    total = RowColumn(heading="total, in random rows", text=total_rows_text)
    pays = RowColumn(
        heading="pays from, rows", narrow="pays from,\nrows", text=lambda row: pays_text(board, row), flexible=True
    )
    line = RowColumn(
        heading="against the line", narrow="against\nthe line", text=lambda row: line_text(board, row, digits)
    )
    is_known = any(row.break_even and row.break_even.is_known for row in rows)
    return [
        METHOD,
        *(_against_random(board, digits, tight=tight) if has_control(board, budget) else []),
        *([line] if is_known else []),
        score,
        RowColumn(heading="total FLOPs", narrow="total\nFLOPs", text=total_text),
        *([] if compact else [total]),
        RowColumn(heading="choosing, in random rows", narrow="choosing,\nin random\nrows", text=choosing_rows_text),
        *([pays] if is_known else []),
        RowColumn(heading="front", text=lambda row: "★" if row.label in best else ""),
    ]


def _against_random(board: Board, digits: int, *, tight: bool) -> list[RowColumn]:
    compared = RowColumn(
        heading="at equal cost",
        narrow="at equal\ncost",
        text=lambda row: equal_text(board, row, digits),
        flexible=True,
    )
    control = RowColumn(
        heading="random with the same compute",
        narrow="random with the\nsame compute",
        text=lambda row: random_text(board, row, digits),
        flexible=True,
    )
    return [compared] if tight else [compared, control]


def equal_text(board: Board, row: BoardRow, digits: int) -> str:
    """`better +0.05`, with the share of the compute that random took where that is not all."""
    found, beside = at_equal_compute(board, row), equal_beside(board, row)
    if found is None:
        return beside or texts.NOTHING
    said = f"{OUTCOMES[found.comparison.outcome]} {texts.signed(found.comparison.difference.mean, digits)}"
    return f"{said} ({beside})" if beside else said


def equal_beside(board: Board, row: BoardRow) -> str:
    """What stands beside the difference: random's share of the compute, or that the row is random itself."""
    found = at_equal_compute(board, row)
    if found is None:
        return "" if difference(board, row) is None else "itself"
    return "" if abs(found.share - 1) <= AS_MUCH else f"at {texts.percent(found.share)}"


def random_text(board: Board, row: BoardRow, digits: int) -> str:
    """What random reaches with the total compute of a row, or with as much of it as there are rows for."""
    found = at_equal_compute(board, row)
    return texts.NOTHING if found is None else texts.interval(estimate_of(found.control, board.sort_metric), digits)


def line_text(board: Board, row: BoardRow, digits: int) -> str:
    """By how much a row is above the line through all random rows."""
    found = above_line(board, row)
    return texts.NOTHING if found is None else texts.signed(found, digits)


def total_text(row: BoardRow) -> str:
    """The total compute of a row."""
    return "not known" if row.asked else texts.amount(making_flops(row))


def choosing_rows_text(row: BoardRow) -> str:
    """What was spent before training, in training on random rows."""
    return texts.NOTHING if row.break_even is None else whole(row.break_even.choosing_rows)


def total_rows_text(row: BoardRow) -> str:
    """All that making the model took, in training on random rows."""
    return texts.NOTHING if row.break_even is None else whole(row.break_even.total_rows)


def pays_from_rows(row: BoardRow) -> float | None:
    """Rows to train on from which choosing pays; None for never, or where it is not known."""
    if row.break_even is None or row.break_even.factor is None or row.training is None or is_vague(row.break_even):
        return None
    return row.break_even.factor * row.training.num_rows


def pays_text(board: Board, row: BoardRow) -> str:
    """`57 [12, 90]`, `≤ 57 [0, 80]` or `never`; `?` where the interval is too wide.

    In round brackets where random with the same compute does not bear it out.
    """
    found = row.break_even
    if found is None or not found.is_known or row.training is None:
        return texts.NOTHING
    if is_vague(found):
        return "?"
    ends = [rows_or_never(value, row.training.num_rows) for value in (found.low, found.high)]
    mean = rows_or_never(found.factor, row.training.num_rows)
    told = ("≤ " if is_at_most(found) else "") + mean
    told = told if ends == [mean, mean] else f"{told} [{ends[0]}, {ends[1]}]"
    return told if is_borne_out(board, row) else f"({told})"


def pays_interval(row: BoardRow) -> str:
    """The interval of what choosing pays from, where it is too wide for an estimate; else nothing."""
    found = row.break_even
    if found is None or not found.is_known or row.training is None or not is_vague(found):
        return ""
    low, high = (rows_or_never(value, row.training.num_rows) for value in (found.low, found.high))
    return f"95 %, taken alone: {low} to {high}"


def is_at_most(found: BreakEven) -> bool:
    """Whether choosing pays from less than the estimate for sure: no random rows, taken alone, are as good."""
    return found.beyond and bool(found.factor) and found.random_as_good == 0


def rows_or_never(factor: float | None, num_rows: float) -> str:
    """So many times `num_rows`."""
    return "never" if factor is None else whole(factor * num_rows)


def whole(value: float) -> str:
    """A number of rows, without a fraction."""
    return f"{value:.0f}" if value < 1e5 else texts.amount(value)
