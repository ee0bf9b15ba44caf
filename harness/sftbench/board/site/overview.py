"""One page over several boards: a card for each, with what was asked and the first thing that can be said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sftbench.board.files import read_board
from sftbench.board.site.rendering import render
from sftbench.board.site.saying import findings, headline, question
from sftbench.board.table import Board
from sftbench.board.texts import plain_budget
from sftbench.board.words import against_chance, judge_warning
from sftbench.errors import UsageError

PAGE = "index.html"
_MARK = "data-page=overview"


@dataclass(frozen=True, kw_only=True)
class BoardCard:
    """What the overview tells of one board. `home` is its folder."""

    home: str
    question: str
    board: Board
    num_methods: int
    num_controls: int
    budget: str
    finding: str
    warning: str | None


def overview_page(folder: Path) -> str:
    """The page of all boards in folders of `folder`, by name. Raises `UsageError` without any, or for one that cannot
    be read."""
    homes = sorted(path.parent for path in folder.glob("*/board.json") if (path.parent / PAGE).is_file())
    if not homes:
        raise UsageError(f"no boards in '{folder}': expected NAME/board.json and NAME/index.html there")
    cards = [_card(home.name, read_board(home)) for home in homes]
    return render("overview.html", cards=cards, assets=f"{homes[0].name}/assets")


def is_overview(folder: Path) -> bool:
    """Whether a folder is one of several boards, with a page over them."""
    return (folder / PAGE).is_file() and not (folder / "board.json").exists() and any(folder.glob("*/board.json"))


def require_own_page(folder: Path) -> None:
    """Refuse a folder that is itself a board, or whose index is somebody else's."""
    page = folder / PAGE
    if (folder / "board.json").exists():
        raise UsageError(f"'{folder}' is a board; an overview is of the folder that boards lie in")
    if page.exists() and _MARK not in page.read_text(encoding="utf-8", errors="replace")[:200]:
        raise UsageError(f"'{page}' is no overview of boards, and would be written over")


def _card(home: str, board: Board) -> BoardCard:
    budget = board.budgets[-1]
    rows = {(row.method, row.label): row for row in board.rows if not row.matched_to}.values()
    return BoardCard(
        home=home,
        question=f"{headline(board)} {question(board)}",
        board=board,
        num_methods=sum(row.kind == "method" for row in rows),
        num_controls=sum(row.kind == "control" for row in rows),
        budget=budget,
        finding=against_chance(board, budget) or _best(board, budget),
        warning=judge_warning(board),
    )


def _best(board: Board, budget: str) -> str:
    """Who is best, where no row is held to chance."""
    found, at = findings(board, budget), plain_budget(budget)
    if not found.best:
        return f"No entry could be ranked at {at}."
    first = found.best[0].label
    if len(found.best) > 1:
        return f"Nobody is best alone at {at}: {len(found.best)} entries cannot be told apart from {first}."
    return f"{first} is best at {at} of {found.num_ranked} ranked entr{'ies' if found.num_ranked > 1 else 'y'}."
