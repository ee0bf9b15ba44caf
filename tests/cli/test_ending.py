"""What a run says in the end, and its exit code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sftbench.cli.ending import ended
from sftbench.compare import Comparison

DONE = {"status": "done", "undescribed": {}}
FAILED = {"status": "failed", "undescribed": {}}
UNDESCRIBED = {"status": "done", "undescribed": {"response": {"message": "no token"}}}


@pytest.mark.parametrize(
    ("cells", "code", "told"),
    [
        ([DONE, DONE], 0, ""),
        ([DONE, UNDESCRIBED], 1, "1 of 2 cells are without a measure of their diversity; '--redo failed' tries again"),
        ([DONE, FAILED], 1, "1 of 2 cells failed; '--redo failed' tries again"),
        ([DONE], 1, "1 of 2 cells are not done"),
    ],
)
def test_everything_that_is_not_as_asked_is_told_and_in_the_exit_code(capsys, cells, code, told):
    planned = SimpleNamespace(plan=SimpleNamespace(cells=[None, None]))
    assert ended(planned, Comparison(results=Path(), cells=cells, outcomes={}, board=None)) == code
    assert capsys.readouterr().err == (f"bench: {told}\n" if told else "")
