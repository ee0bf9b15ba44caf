"""Length control and the rooms that follow from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench_plugins.m2m.lengths import LengthControl, Limits, first_within, length_strata


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("off", LengthControl()),
        ("400-600", LengthControl(low=400, high=600)),
        ("matched", LengthControl(matched=True)),
        ("400-600+matched", LengthControl(low=400, high=600, matched=True)),
    ],
)
def test_a_length_control_is_read_from_text(text: str, meaning: LengthControl) -> None:
    assert LengthControl.parse(text) == meaning


@pytest.mark.parametrize("text", ["", "on", "600-400", "400-", "400", "+matched", "400-600+", "400-600matched!"])
def test_a_length_control_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="length_control"):
        LengthControl.parse(text)


def test_a_range_admits_its_two_ends() -> None:
    assert LengthControl.parse("3-5").admits(np.array([2, 3, 4, 5, 6])).tolist() == [False, True, True, True, False]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 60))
def test_whole_rooms_add_up_to_the_budget_and_are_within_one_row_of_the_share(strata: list[int], cap: int) -> None:
    cap = min(cap, len(strata))
    number = np.unique(strata, return_inverse=True)[1]
    room = Limits.of(np.ones(len(strata)), cap, number).room
    sizes = np.bincount(number)
    assert room.sum() == cap
    assert (np.abs(room - cap * sizes / len(strata)) <= 1).all()
    assert (room <= sizes).all()


def test_rooms_of_a_budget_in_costs_follow_the_costs() -> None:
    room = Limits.of(np.array([10.0, 30.0, 20.0]), 30.0, np.array([0, 1, 0])).room
    assert room == pytest.approx([15.0, 15.0])


def test_strata_are_nearly_equal_groups_in_the_order_of_length() -> None:
    lengths = np.random.default_rng(0).permutation(1000)
    strata = length_strata(lengths, 10)
    assert np.abs(np.bincount(strata) - 100).max() <= 1
    assert (np.diff(strata[np.argsort(lengths)]) >= 0).all()


def test_equal_lengths_share_a_stratum() -> None:
    assert length_strata(np.array([7] * 50), 10).tolist() == [0] * 50


def test_a_ranking_is_cut_at_the_first_row_of_a_stratum_that_is_too_much() -> None:
    fits = first_within(np.array([2.0, 1.0, 2.0, 1.0, 1.0]), np.array([0, 1, 0, 1, 0]), np.array([3.0, 2.0]))
    assert fits.tolist() == [True, True, False, True, False]
