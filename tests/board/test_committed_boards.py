"""The boards in the repository are what their records give, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftbench.board.build import build_board
from sftbench.board.render import write_board

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted(path.parent.name for path in (ROOT / "leaderboards").glob("*/board.json"))


def test_there_is_a_board_of_the_embedded_suite():
    assert "microcosm" in BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_regenerates_from_its_records(name, tmp_path):
    write_board(build_board(ROOT / "results" / name), tmp_path)
    for file in sorted(tmp_path.iterdir()):
        assert file.read_bytes() == (ROOT / "leaderboards" / name / file.name).read_bytes(), file.name
