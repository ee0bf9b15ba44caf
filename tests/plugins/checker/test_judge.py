"""The better answer wins whichever side it is on; likeness equals the F1 that one works out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench import Responses, Verdicts
from sftbench.pools import pool_from_rows
from sftbench_plugins.answers import token_f1
from sftbench_plugins.checker.judge import Checker

DESK: Any = None
ROWS: list[dict[str, Any]] = [
    {"id": "known", "instruction": "q", "output": "the fox", "answers": ["fox", "a fox"]},
    {"id": "open", "instruction": "q", "output": "red green blue grey"},
    {"id": "rule", "instruction": "q", "output": "", "answers": {"kind": "mentions", "parts": ["red", "blue"]}},
    {"id": "nothing", "instruction": "q", "output": ""},
]
GOOD = ("A fox.", "green blue red", "Blue or red", "x")
BAD = ("fox. Hope this helps!", "red", "blueish red", "")


def judged(tmp_path: Path, mine: tuple[str, ...], theirs: tuple[str, ...], **parameters: Any) -> Verdicts:
    heldout = pool_from_rows(ROWS, into=tmp_path / "rows.arrow", key="k")
    ids = tuple(heldout.ids)
    return Checker(**parameters).judge(
        heldout, Responses(ids=ids, texts=mine), Responses(ids=ids[::-1], texts=theirs[::-1]), DESK
    )


def test_the_better_answer_wins_on_either_side(tmp_path: Path) -> None:
    assert judged(tmp_path, GOOD, BAD).preference.tolist()[:3] == [1, 1, 1]
    assert judged(tmp_path, BAD, GOOD).preference.tolist()[:3] == [0, 0, 0]
    assert judged(tmp_path, GOOD, GOOD).preference.tolist()[:3] == [0.5, 0.5, 0.5]
    assert judged(tmp_path, ("no", "", "", ""), BAD).preference.tolist()[:3] == [0.5, 0, 0.5]


def test_an_item_without_any_truth_is_not_judged(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, GOOD, BAD)
    assert np.isnan(verdicts.preference).tolist() == [False, False, False, True]
    assert verdicts.ids == ("known", "open", "rule", "nothing")
    assert verdicts.report == {"num_checked": 2, "num_by_likeness": 2}


def test_a_margin_makes_near_answers_level(tmp_path: Path) -> None:
    near = ("fox", "red green blue", "red blue", "")
    assert judged(tmp_path, (*GOOD[:1], "red green blue grey", *GOOD[2:]), near).preference[1] == 1
    assert judged(tmp_path, (*GOOD[:1], "red green blue grey", *GOOD[2:]), near, margin=0.2).preference[1] == 0.5


def test_a_margin_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        Checker(margin=-0.1)


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        ("a b c", "a b c", 1.0),
        ("a b", "a b c d", 2 * 1.0 * 0.5 / 1.5),
        ("a a a", "a b", 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)),
        ("A, b!", "a b", 1.0),
        ("x", "a", 0.0),
        ("", "a", 0.0),
        ("", "", 1.0),
    ],
)
def test_likeness_is_the_harmonic_mean_of_precision_and_recall(response: str, reference: str, expected: float) -> None:
    assert token_f1(response, reference) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_likeness_is_symmetric_and_ignores_order(first: list[str], second: list[str]) -> None:
    value = token_f1(" ".join(first), " ".join(second))
    assert 0 <= value <= 1
    assert value == token_f1(" ".join(second), " ".join(sorted(first)))
    assert (value == 1) == (sorted(first) == sorted(second))
