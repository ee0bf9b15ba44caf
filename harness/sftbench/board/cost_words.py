"""What a board says about the cost of its methods, in sentences: whether choosing pays for itself, and from when on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sftbench.board import texts
from sftbench.board.cells import Cell
from sftbench.board.equal_cost import (
    AS_MUCH,
    WIDE,
    AtEqualCompute,
    at_equal_compute,
    has_control,
    is_at_most,
    is_borne_out,
    is_vague,
    is_wide,
    rows_or_never,
    short_words,
    takes_all,
    whole,
)
from sftbench.board.making import estimate_of
from sftbench.board.table import Board, BoardRow, BreakEven

FLAG = "--controls all"
"""What a run must be given for random rows with the total compute of each method."""


def told_at_equal_cost(board: Board, budget: str) -> list[str]:
    """What to say of a budget: of how many methods it is shown that choosing pays, and the story of the best."""
    best = next((row for row in board.of(budget) if row.break_even is not None and row.rank is not None), None)
    return [] if best is None else [*_counts(board, budget), *cost_story(board, best)]


def _counts(board: Board, budget: str) -> Iterator[str]:
    """How many entries that chose are shown to pay, and not to; nothing where no control could show it."""
    if not has_control(board, budget):
        return
    shown: dict[str, list[str]] = {"pays": [], "does not pay": [], "open": [], "not compared": []}
    for row in board.of(budget):
        if row.break_even is not None and row.rank is not None:
            found = at_equal_compute(board, row)
            shown[found.shows if found else "not compared"].append(texts.label(row))
    told = [
        f"Shown to pay at equal total compute: {_counted(shown['pays'])}",
        f"shown not to: {_counted(shown['does not pay'])}",
        f"open: {len(shown['open']) or 'none'}",
        *([f"not compared: {len(shown['not compared'])}"] if shown["not compared"] else []),
    ]
    short = short_words(board, budget)
    yield "; ".join(told) + (f". Random had less than all the compute of some: {short}." if short else ".")


def _counted(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def cost_story(board: Board, row: BoardRow) -> Iterator[str]:
    """Of an entry that chose: what that cost, what random reaches for it, and from when on it pays."""
    if row.asked:
        yield "What choosing cost is not known: a language model behind an endpoint was asked."
    if row.break_even is None or row.training is None:
        return
    yield _of_choosing(row, row.break_even, row.training.num_rows)
    yield _of_equal_compute(board, row, row.break_even)
    yield _of_break_even(board, row, row.break_even, row.training.num_rows)


def _of_choosing(row: BoardRow, found: BreakEven, num_rows: float) -> str:
    doing = "Generating and choosing" if "generating" in row.cost else "Choosing"
    total = _rows(found.total_rows, "random")
    if not found.choosing_rows:
        return (
            f"{doing} with {texts.label(row)} took no FLOPs before training; its training on {_rows(num_rows, '')} "
            f"cost as much as that on {total}."
        )
    return (
        f"{doing} with {texts.label(row)} cost as much as training on {_rows(found.choosing_rows, 'random')}; with its "
        f"own training on {_rows(num_rows, '')}, in all as much as on {total}."
    )


def _of_equal_compute(board: Board, row: BoardRow, told_of: BreakEven) -> str:
    found = at_equal_compute(board, row)
    if found is None:
        if has_control(board, row.budget):
            return "There are no random rows with the same total compute to compare it with."
        return f"What random reaches with the same total compute is not known; a run with {FLAG} tells."
    size = _size(board, found, told_of)
    if abs(found.share - 1) <= AS_MUCH:
        told = f"Random with the same total compute ({size})"
    else:
        told = f"Random with {texts.percent(found.share)} of its total compute ({size})"
    digits = texts.decimals([each for each in (estimate_of(row, board.sort_metric),) if each], board.sort_metric)
    score = texts.interval(estimate_of(found.control, board.sort_metric), digits)
    if not told_of.choosing_rows:
        return f"{told} reaches {score}: {_BESIDE[found.comparison.outcome]}."
    return f"{told} reaches {score}, so that {_conclusion(found)}."


_BESIDE = {"better": "less than it", "worse": "more than it", "equal": "the two cannot be told apart"}
"""What random with the same compute is to an entry whose choice cost nothing."""


def _size(board: Board, found: AtEqualCompute, told_of: BreakEven) -> str:
    """How many random rows the control has, and why these are not as many as the price of the total."""
    if found.control.training is None:
        return "random rows"
    num_rows, expected = found.control.training.num_rows, told_of.total_rows * found.share
    size = _rows(num_rows, "")
    if takes_all(board, found.control):
        return f"{size}, all that the pool has"
    if whole(num_rows) == whole(expected):
        return size
    return f"{size}, on the average {'shorter' if num_rows > expected else 'longer'} than those of random"


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


def _of_break_even(board: Board, row: BoardRow, found: BreakEven, num_rows: float) -> str:
    """What the line through all random rows says; of paying with a "would" unless the control bears it out."""
    if not found.is_known:
        return "From which size on it pays is not known: the board has not two sizes of random rows and a score for it."
    if is_vague(found):
        return _vague(found, num_rows)
    borne_out = is_borne_out(board, row)
    but = "" if borne_out else f", {_objection(at_equal_compute(board, row))}"
    reached = _reached(found)
    if found.factor is None and not found.choosing_rows:
        return f"{reached}, so that it {'saves' if borne_out else 'would save'} no training{but}."
    if found.factor is None:
        own = "" if found.random_rows is None else ", no more than its own training"
        never = "choosing never pays" if borne_out else "choosing would never pay"
        return f"{reached}{own}: by this measure {never}{_alone(found, num_rows)}{but}."
    if not found.choosing_rows:
        return f"{reached}, so that it {'saves' if borne_out else 'would save'} training, for nothing spent{but}."
    factor = f"{found.factor:.2g}" if found.factor < 10 else f"{found.factor:.0f}"
    return (
        f"{reached}, so that by this measure choosing {'pays' if borne_out else 'would pay'} from "
        f"{'at most' if is_at_most(found) else 'about'} {whole(found.factor * num_rows)} rows "
        f"on{_alone(found, num_rows)}, {factor} times this training{but}."
    )


def _vague(found: BreakEven, num_rows: float) -> str:
    if found.choosing_rows:
        return f"From which size on it pays is not known{_alone(found, num_rows)}."
    own = _rows(found.total_rows, "random")
    return (
        f"Whether it saves training is not known: {_LINE} random is as good for the price of {_between(found)} (95 %, "
        f"taken alone), and its training cost as much as {own}."
    )


_LINE = "by the line through all random rows"


def _reached(found: BreakEven) -> str:
    """Where the score is on the line through all random rows."""
    if found.random_rows is None:
        return f"{_LINE.capitalize()} the fewest are as good{_random_alone(found)}"
    if found.beyond:
        single = f", though {_entries(found.random_as_good)} by the mean" if found.random_as_good else ""
        return (
            "It is above the line through all random rows, which ends at the price of "
            f"{_rows(found.random_rows, '')}{single}"
        )
    if is_wide(found.random_rows_low or 0.0, found.random_rows, found.random_rows_high):
        return f"{_LINE.capitalize()} random is as good for the price of {_between(found)} (95 %, taken alone)"
    about = _rows(found.random_rows, "")
    return f"{_LINE.capitalize()} random is as good for the price of about {about}{_random_alone(found)}"


def _entries(count: int) -> str:
    return f"{count} single {'entry of random rows is' if count == 1 else 'entries of random rows are'} as good"


def _random_alone(found: BreakEven) -> str:
    """The interval of what random needs, where it tells more than the estimate."""
    if found.random_rows_low is None or found.random_rows_low == found.random_rows_high == (found.random_rows or 0.0):
        return ""
    return f" (95 %, taken alone: {_between(found)})"


def _between(found: BreakEven) -> str:
    """From how few to how many random rows are as good."""
    low = whole(found.random_rows_low) if found.random_rows_low else "the fewest"
    high = "more than all of them" if found.random_rows_high is None else _high(found.random_rows_high)
    return f"{low} to {high}"


def _high(count: float) -> str:
    return whole(count) if count else "the fewest"


def _objection(control: AtEqualCompute | None) -> str:
    """Why what the line says is not said for sure."""
    if control is None:
        return ""
    with_what = "the same compute" if control.had_all else f"{texts.percent(control.share)} of its compute"
    if control.comparison.outcome == "equal":
        return f"but it is not told from random with {with_what}"
    if control.shows == "open":
        return f"but random with {texts.percent(control.share)} of its compute does not show it"
    return f"but random with {with_what} shows otherwise"


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
            "At equal cost: the paired difference to random rows that one training of the entry's total compute "
            "(selecting, generating and training) can take; better, worse or ≈ as for every matched control. Methods "
            "and controls are compared with what random makes of their own compute, and so with each other by how much "
            "they add to it. The order rests on one draw of random rows per entry (one per seed): two that add the "
            "same may stand apart since random was lucky for one and not for the other. "
            f"Where random took another amount by more than {AS_MUCH:.0%}, its share is told (a pool may have no more "
            "rows); what is ≈ then is open."
        )
        told += short_notes(board)
    if any(row.break_even and row.break_even.is_known for row in board.rows):
        told += [
            "Against the line: the mean above the line through all random rows (all sizes of random on the board; it "
            "never falls) at the entry's total compute, or at the nearest end of the line. It rests on every draw of "
            "random and has neither interval nor test.",
            "Pays from, rows: what was spent before training, over what each training then saves beside random rows "
            "that are as good (their compute is read off that line), times the rows trained on. It holds if random "
            "goes on needing so many times as many rows. ≤: above the line, and no random rows are as good by their "
            "mean. Never: by the line, random is as good for no more compute than its own training. In round brackets: "
            "random with the same compute does not bear it out. Intervals are 95 %, each taken alone. ?: not known, "
            f"since the interval goes from some size to never, or over more than a factor of {WIDE}; board.csv has it "
            "(pays_from_low, pays_from_high, in multiples of the entry's training; nothing for never).",
        ]
    return [
        *told,
        "Choosing, and total, in random rows: what was spent before training, and in all, over the price of training "
        "on one row of random at the same budget.",
        "Front: no method and no plain random rows (random, full, random-tokens, random-compute) that cost less are "
        "better by the mean. Controls matched in lengths are no plain random rows and are left out. Random rows that "
        "are matched to a method can be on the front without standing in the table at equal cost.",
    ]


def short_notes(board: Board) -> list[str]:
    """For each budget where random rows had less compute than the method that they are matched to: for which."""
    found = ((budget, short_words(board, budget)) for budget in board.budgets)
    return [
        f"At {texts.one_line(budget)}, random rows had less than all the compute of some: {short}."
        for budget, short in found
        if short
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
