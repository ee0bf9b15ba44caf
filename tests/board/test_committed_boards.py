"""The boards in the repository are what their records give, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftbench.board.build import build_board
from sftbench.board.site.files import site_files, stale_files

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted(path.parent.name for path in (ROOT / "leaderboards").glob("*/board.json"))


def test_there_is_a_board_of_the_embedded_suite():
    assert "microcosm" in BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_and_its_site_regenerate_from_their_records(name):
    results, out = ROOT / "results" / name, ROOT / "leaderboards" / name
    assert stale_files(site_files(build_board(results), results, out), out) == []
