"""The forms of a board, gathered: Markdown, CSV, data frame, terminal and files."""

from __future__ import annotations

from sftbench.board.files import load_board, read_board, write_board
from sftbench.board.flat import board_csv, board_frame, board_records
from sftbench.board.markdown import board_markdown
from sftbench.board.terminal import board_lines, print_board, render_rich

__all__ = [
    "board_csv",
    "board_frame",
    "board_lines",
    "board_markdown",
    "board_records",
    "load_board",
    "print_board",
    "read_board",
    "render_rich",
    "write_board",
]
