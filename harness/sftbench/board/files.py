"""The board on disk: written whole or not at all, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sftbench.board.build import build_board
from sftbench.board.flat import board_csv, board_frame
from sftbench.board.markdown import board_markdown
from sftbench.board.table import Board
from sftbench.errors import UsageError
from sftbench.store import write_atomically

if TYPE_CHECKING:
    import pandas


def write_board(board: Board, out: Path) -> None:
    """`README.md`, `board.csv` and `board.json` in the folder `out`, each by rename."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "README.md", board_markdown(board))
    write_atomically(out / "board.csv", board_csv(board))
    write_atomically(out / "board.json", board.to_json())


def read_board(path: Path) -> Board:
    """A written board (its folder or its `board.json`), or a results folder, made into one.

    Raises `UsageError` when it is none of these or cannot be read.
    """
    file = path / "board.json" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        return build_board(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"no board at '{path}': {problem}") from None
    return Board.from_json(text, where=str(file))


def load_board(path: str | Path) -> pandas.DataFrame:
    """A board as a data frame, from the folder of a leaderboard or of results."""
    return board_frame(read_board(Path(path)))
