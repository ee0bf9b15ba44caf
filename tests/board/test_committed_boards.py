"""The boards in the repository are what their records give, byte for byte, and small."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from sftbench.board.build import build_board
from sftbench.board.site.files import site_files, stale_files
from sftbench.board.site.overview import overview_page

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted(path.parent.name for path in (ROOT / "leaderboards").glob("*/board.json"))
DOWNLOADS = ("README.md", "board.csv", "board.json")
"""The board as text and data: links lead to these, and no page loads them."""


@cache
def files_of(name):
    results = ROOT / "results" / name
    return site_files(build_board(results), results, ROOT / "leaderboards" / name)


def test_there_is_a_board_of_the_embedded_suite():
    assert "microcosm" in BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_and_its_site_regenerate_from_their_records(name):
    assert stale_files(files_of(name), ROOT / "leaderboards" / name) == []


def test_the_overview_is_what_the_boards_give():
    assert (ROOT / "leaderboards" / "index.html").read_text(encoding="utf-8") == overview_page(ROOT / "leaderboards")


@pytest.mark.parametrize("name", BOARDS)
def test_a_site_is_under_a_megabyte_without_what_is_told_of_single_rows(name):
    """A run of 31 methods at two budgets, with all their matched controls, has 252 rows and 732 records."""
    files = {path: len(text.encode()) for path, text in files_of(name).items()}
    of_rows = {path: size for path, size in files.items() if path.startswith(("data/", "rows/"))}
    pages = {path: size for path, size in files.items() if path not in of_rows and path not in DOWNLOADS}
    assert {"index.html", "run.html", "compare.html", "assets/board.js"} <= set(pages)
    assert any(path.startswith("rows/") for path in of_rows)
    assert any(path.startswith("methods/") for path in pages)
    assert sum(pages.values()) < 1_000_000
    assert max(size for path, size in pages.items() if "/" in path) < 50_000
    assert max(of_rows.values()) < 50_000
