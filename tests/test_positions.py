"""Positions as text and back."""

from __future__ import annotations

import random

import pytest

from sftbench.positions import positions_as_text, positions_from_text


@pytest.mark.parametrize(
    ("positions", "text"),
    [([], ""), ([4], "4"), ([0, 1, 2, 3, 7], "0-3,7"), ([9, 2, 8], "2,8-9"), (range(100), "0-99"), ([5, 5], "5")],
)
def test_neighbours_are_one_run(positions, text):
    assert positions_as_text(positions) == text
    assert positions_from_text(text, num_rows=100).tolist() == sorted(set(positions))


def test_any_choice_comes_back():
    chance = random.Random(3)
    for size in range(0, 40, 3):
        chosen = chance.sample(range(40), size)
        assert positions_from_text(positions_as_text(chosen), num_rows=40).tolist() == sorted(chosen)


@pytest.mark.parametrize(
    "text", ["a", "1,", "-1", "3-1", "2,1", "1,1", "1-3,2", "1,2", "0-2,3", "1 ,4", "٣", "0-10", "10"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"position|pool of 10"):
        positions_from_text(text, num_rows=10)
    assert len(positions_from_text("0-9", num_rows=10)) == 10


def test_a_short_text_of_more_rows_than_any_selection_has_is_refused_before_they_are_there():
    with pytest.raises(ValueError, match=r"900,000,000,000 positions; at most 50,000,000"):
        positions_from_text("0-899999999999", num_rows=10**12)
