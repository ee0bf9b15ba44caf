"""What a board lets one say, in a few sentences for somebody who has never seen it."""

from __future__ import annotations

from dataclasses import dataclass

from sftbench.board.equal_cost import CONTROL, short_of_compute, short_words
from sftbench.board.table import WIN_RATE, Board, BoardRow
from sftbench.board.texts import percent


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


def question(board: Board) -> str:
    """What was compared, in one sentence."""
    methods = {row.label for row in board.rows if row.kind == "method"}
    controls = {row.label for row in board.rows if row.kind == "control" and row.matched_to is None}
    spoilt = board.pool.num_planted
    planted = f", of which {percent(spoilt / board.pool.num_rows)} are spoilt on purpose" if spoilt else ""
    shares = " or ".join(map(_budget, board.budgets))
    seeds = f"{len(board.seeds)} seeds" if len(board.seeds) > 1 else "one seed"
    ways = f"{len(methods)} way{'' if len(methods) == 1 else 's'} of choosing training data"
    beside = f" and {len(controls)} control{'' if len(controls) == 1 else 's'}" if controls else ""
    return (
        f"{ways}{beside} each took {shares} from the {board.pool.num_rows:,} rows of the pool {board.pool.name}"
        f"{planted}; the model {board.base.name} was trained on what each took, with {seeds}, and measured on "
        f"{_measured(board)}."
    )


def _budget(text: str) -> str:
    return f"{text} rows" if text.isdigit() else text


def _measured(board: Board) -> str:
    counts = sorted({count for name, count in board.num_items.items() if count and name != WIN_RATE})
    if not counts and board.prompts is not None and board.judged:
        return f"answers to {board.prompts.num_prompts} prompts, as a judge sees them"
    if not counts:
        return "nothing but what a judge saw" if board.judged else "nothing"
    return f"{' or '.join(map(str, counts))} held-out tasks"
