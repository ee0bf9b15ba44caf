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


def test_what_cards_have_cost_and_what_servers_failed_over_is_told_and_fails_nothing(capsys):
    planned = SimpleNamespace(plan=SimpleNamespace(cells=[None, None]))
    first = {"columns": {"flags": [["model_error"], [], ["unparsable"], ["model_error", "judge_truncated"]]}}
    cells = [{**DONE, "verdicts": first, "further_verdicts": [{"columns": {"flags": [["model_error"]]}}]},
             {**DONE, "verdicts": {"columns": {}}}]  # fmt: skip
    compared = Comparison(results=Path(), cells=cells, outcomes={}, board=None, told=("judge j: its card took much",))
    assert ended(planned, compared) == 0
    card, pairs = capsys.readouterr().err.splitlines()
    assert card == "judge j: its card took much"
    assert pairs.startswith("bench: 3 pairs have no whole verdict")
    assert "'--redo failed' asks these again" in pairs


def test_grades_that_servers_failed_over_are_told_once_for_each_step(capsys):
    """Cells share steps; of verdicts the pairs are told."""
    told = {"evaluation/a": 2, "evaluation/b": None, "evaluation/c": 3, "verdicts/d": 7}
    asked = {ref: {"model": "m", **({"num_refused": number} if number else {})} for ref, number in told.items()}
    store = SimpleNamespace(record_of=lambda ref: SimpleNamespace(payload={"ids": ["1"], "asks:judge": asked[ref]}))
    planned = SimpleNamespace(plan=SimpleNamespace(cells=[None]), store=store)
    compared = Comparison(results=Path(), cells=[DONE], outcomes=dict.fromkeys(told, "done"), board=None)
    assert ended(planned, compared) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench: 5 requests of evaluators were refused")
    assert "'--redo failed' asks these again" in line
