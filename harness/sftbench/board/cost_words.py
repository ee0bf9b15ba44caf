"""What a board says about the cost of its rows, in sentences: whether choosing pays for itself, and from when on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sftbench.board import texts
from sftbench.board.cells import Cell
from sftbench.board.equal_cost import AS_MUCH, AtEqualCompute, at_equal_compute, has_control, rows_or_never, whole
from sftbench.board.making import estimate_of
from sftbench.board.table import Board, BoardRow, BreakEven

FLAG = "--controls all"
"""What a run must be given for random rows with the total compute of each method."""


def told_at_equal_cost(board: Board, budget: str) -> list[str]:
    """What to say of a budget: where the controls are lacking, and the story of the best row that chose."""
    best = next((row for row in board.of(budget) if row.break_even is not None and row.rank is not None), None)
    return [] if best is None else [*cost_story(board, best)]


def cost_story(board: Board, row: BoardRow) -> Iterator[str]:
    """Of a row that chose: what that cost, what random reaches for it, and from when on it pays."""
    if row.asked:
        yield "What choosing cost is not known: a language model behind an endpoint was asked."
    if row.break_even is None or row.training is None:
        return
    yield _of_choosing(row, row.break_even)
    yield _of_equal_compute(board, row, row.break_even)
    yield _of_break_even(row, row.break_even, row.training.num_rows)


def _of_choosing(row: BoardRow, found: BreakEven) -> str:
    doing = "Generating and choosing" if "generating" in row.cost else "Choosing"
    if not found.choosing_rows:
        return f"{doing} with {texts.label(row)} took no FLOPs before training."
    return (
        f"{doing} with {texts.label(row)} cost as much as training on {_rows(found.choosing_rows, 'random')} more; "
        "it trained on " + whole(row.training.num_rows if row.training else 0.0) + "."
    )


def _of_equal_compute(board: Board, row: BoardRow, told_of: BreakEven) -> str:
    found = at_equal_compute(board, row)
    if found is None:
        if has_control(board, row.budget):
            return "There are no random rows with the same total compute to compare it with."
        return f"What random reaches with the same total compute is not known; a run with {FLAG} tells."
    size = _rows(found.control.training.num_rows, "") if found.control.training else "random rows"
    if abs(found.share - 1) <= AS_MUCH:
        told = f"Random with the same total compute ({size})"
    else:
        told = f"Random with {texts.percent(found.share)} of its total compute ({size}{_all_of(board, found.control)})"
    digits = texts.decimals([each for each in (estimate_of(row, board.sort_metric),) if each], board.sort_metric)
    score = texts.interval(estimate_of(found.control, board.sort_metric), digits)
    if not told_of.choosing_rows:
        return f"{told} reaches {score}: {_BESIDE[found.comparison.outcome]}."
    return f"{told} reaches {score}, so that {_conclusion(found)}."


_BESIDE = {"better": "less than it", "worse": "more than it", "equal": "the two cannot be told apart"}
"""What random with the same compute is to a row whose choice cost nothing."""


def _all_of(board: Board, control: BoardRow) -> str:
    is_all = control.training is not None and control.training.num_rows >= board.pool.num_rows
    return ", all that the pool has" if is_all else ""


def _conclusion(found: AtEqualCompute) -> str:
    if found.shows == "pays":
        return "it pays for itself at this size"
    if found.shows == "does not pay":
        return "it does not pay for itself at this size"
    if found.comparison.outcome == "better":
        return "it beats random with less compute, which does not show that it pays for itself"
    if found.comparison.outcome == "worse":
        return "it loses to random with more compute, which does not show that it does not pay for itself"
    return "it has not been shown to pay for itself at this size"


def _of_break_even(row: BoardRow, found: BreakEven, num_rows: float) -> str:
    if not found.is_known:
        return "From which size on it pays is not known: the board has not two sizes of random rows and a score for it."
    if found.random_rows is None:
        return "The fewest random rows are as good, so that by this measure it saves no training."
    if found.beyond:
        reached = f"No random rows are as good, up to the price of {whole(found.random_rows)}"
    else:
        reached = f"Random is as good for the price of {_rows(found.random_rows, '')}"
    if found.factor is None:
        what = "choosing never pays" if found.choosing_rows else "it saves no training"
        return f"{reached}, no more than its own training: by this measure {what}{_alone(found, num_rows)}."
    if not found.choosing_rows:
        return f"{reached}, so that it saves training and nothing is spent for it{_alone(found, num_rows)}."
    least = "at most " if found.beyond else ""
    factor = f"{found.factor:.2g}" if found.factor < 10 else f"{found.factor:.0f}"
    return (
        f"{reached}, so that by this measure choosing pays from {least}{whole(found.factor * num_rows)} rows "
        f"on{_alone(found, num_rows)}, {factor} times this training."
    )


def _alone(found: BreakEven, num_rows: float) -> str:
    """The interval, where it tells more than the estimate; it is not corrected for the number of rows."""
    if found.low == found.high == found.factor:
        return ""
    ends = " to ".join(rows_or_never(value, num_rows) for value in (found.low, found.high))
    return f" (95 %, taken alone: {ends})"


def _rows(count: float, kind: str) -> str:
    number = whole(count)
    return f"{number} {kind + ' ' if kind else ''}row{'' if number == '1' else 's'}"


def equal_cost_legend(board: Board) -> list[str]:
    """What the columns mean; nothing on a board where nobody chose."""
    if not any(row.break_even for row in board.rows):
        return []
    told = []
    if any(has_control(board, budget) for budget in board.budgets):
        told.append(
            "At equal cost: the paired difference to random rows that one training of the row's total compute "
            "(selecting, generating and training) can take; better, worse or ≈ as for every matched control. Rows are "
            "compared with what random makes of their own compute, and so with each other by how much they add to it. "
            f"Where random took another amount by more than {AS_MUCH:.0%}, its share is told (a pool may have no more "
            "rows)."
        )
    if any(row.break_even and row.break_even.is_known for row in board.rows):
        told.append(
            "Pays from, rows: what was spent before training, over what each training then saves beside random rows "
            "that are as good (their compute is read off a line through all sizes of random on the board that never "
            "falls), times the rows trained on. It holds if random goes on needing so many times as many rows. ≤: no "
            "random rows are as good. Never: random is as good for no more compute than its own training. Intervals "
            "are 95 %, each taken alone."
        )
    return [
        *told,
        "Choosing, and total, in random rows: what was spent before training, and in all, over the price of training "
        "on one row of random at the same budget.",
        "Front: nothing that cost less is better by its mean.",
    ]


def phase_notes(cells: Iterable[Cell]) -> list[str]:
    """That older records have the cost of generating and of judging in that of their neighbours."""
    if any(
        (cell.judgements and "judging" not in cell.cost) or (cell.generated and "generating" not in cell.cost)
        for cell in cells
    ):
        return [
            "Records from before generating and judging were told apart have what these cost under selecting and "
            "evaluating."
        ]
    return []
