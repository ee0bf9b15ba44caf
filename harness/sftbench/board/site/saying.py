"""What a board lets one say, in a few sentences for somebody who has never seen it."""

from __future__ import annotations

from dataclasses import dataclass

from sftbench.board.equal_cost import short_of_compute, short_words
from sftbench.board.making import CONTROL
from sftbench.board.table import WIN_RATE, Board, BoardRow
from sftbench.board.texts import budget_name, one_line
from sftbench.board.words import planted


@dataclass(frozen=True, kw_only=True)
class Against:
    """How methods stand to one kind of chance: rows that are better, worse, and how many cannot be told apart.

    Where chance had less than it is matched in, `short` says for whom; `num_open` rows cannot be told from that.
    """

    control: str
    better: tuple[BoardRow, ...]
    worse: tuple[BoardRow, ...]
    num_equal: int
    num_open: int = 0
    short: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What can be said at one budget. `best` has several rows where they cannot be told apart."""

    budget: str
    best: tuple[BoardRow, ...]
    num_ranked: int
    baseline_is_among_the_best: bool
    against: tuple[Against, ...]
    nearest: BoardRow | None
    failed: tuple[BoardRow, ...]


def findings(board: Board, budget: str) -> Findings:
    """The findings at a budget."""
    rows = board.of(budget)
    controls = sorted({each.control for row in rows for each in row.against_matched})
    best = tuple(row for row in rows if row.tied_with_best)
    wanting = [row for row in rows if row.seeds_to_tell is not None]
    return Findings(
        budget=budget,
        best=best,
        num_ranked=sum(row.rank is not None for row in rows),
        baseline_is_among_the_best=any(row.is_baseline and not _beats(best[0], row) for row in best),
        against=tuple(_against(board, budget, control) for control in controls),
        nearest=min(wanting, key=lambda row: row.seeds_to_tell or 0, default=None),
        failed=tuple(row for row in rows if row.seeds_failed),
    )


def _beats(row: BoardRow, other: BoardRow) -> bool:
    """Whether the planned comparison tells what the tiers, which are from all pairs, do not."""
    found = row.against_baseline
    return found is not None and found.control == other.label and found.outcome == "better"


def _against(board: Board, budget: str, control: str) -> Against:
    short = {row.label for row, _ in short_of_compute(board, budget)} if control == CONTROL else set()
    rows = board.of(budget)
    found = [(row, each.outcome) for row in rows for each in row.against_matched if each.control == control]
    return Against(
        control=control,
        better=tuple(row for row, outcome in found if outcome == "better"),
        worse=tuple(row for row, outcome in found if outcome == "worse"),
        num_equal=sum(outcome == "equal" and row.label not in short for row, outcome in found),
        num_open=sum(outcome == "equal" and row.label in short for row, outcome in found),
        short=short_words(board, budget) if control == CONTROL else "",
    )


def headline(board: Board) -> str:
    """The question that a board answers: a study's own, where it begins with one."""
    asked, mark, _ = one_line(board.study, 2000).partition("?")
    return asked + mark if mark else "Which way of choosing training data is better?"


def question(board: Board) -> str:
    """What a study did to answer, and what was compared, in a few sentences."""
    num_methods = _num_methods(board)
    generate = any("generating" in row.cost for row in board.rows if row.kind == "method")
    ways = f"{num_methods} way{'' if num_methods == 1 else 's'} of choosing{' or generating' if generate else ''}"
    shares = " or ".join(budget_name(board, budget) for budget in board.budgets)
    seeds = f"{len(board.seeds)} seeds" if len(board.seeds) > 1 else "one seed"
    pool = board.pool
    study = one_line(board.study, 2000).removeprefix(headline(board)).strip()
    return (
        f"{study}{' ' if study else ''}"
        f"{ways} training data had a budget of {shares} and the pool {pool.name} ({pool.num_rows:,} rows, "
        f"{planted(pool)}). The model {board.base.name} was trained on what each gave, with {seeds}, and measured on "
        f"{_measured(board)}.{_beside(board)}"
    )


def _beside(board: Board) -> str:
    """The controls that are matched to nothing, with what they train on where that is no budget."""
    controls = {row.label: row for row in board.rows if row.kind == "control" and row.matched_to is None}
    if not controls:
        return ""
    named = [label + _taken(row, board.pool.num_rows) for label, row in sorted(controls.items())]
    listed = named[0] if len(named) == 1 else ", ".join(named[:-1]) + " and " + named[-1]
    count = "one control stands" if len(named) == 1 else f"{len(named)} controls stand"
    return f" Beside {'it' if _num_methods(board) == 1 else 'them'} {count}: {listed}."


def _num_methods(board: Board) -> int:
    return len({row.label for row in board.rows if row.kind == "method"})


def _taken(row: BoardRow, num_rows: int) -> str:
    if row.training is None:
        return " (untrained)" if row.seeds_done else ""
    return f" (all {num_rows:,} rows)" if row.training.num_rows == num_rows else ""


def _measured(board: Board) -> str:
    counts = sorted({count for name, count in board.num_items.items() if count and name != WIN_RATE})
    if not counts and board.prompts is not None and board.judged:
        return f"answers to {board.prompts.num_prompts} prompts, as a judge sees them"
    if not counts:
        return "nothing but what a judge saw" if board.judged else "nothing"
    return f"{' or '.join(map(str, counts))} held-out tasks"
