"""The stages of the selection: who may compete, what the heap holds, who is steadiest."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench_plugins.tshirt import stages


def test_the_heap_throws_out_the_earliest_of_equal_minima() -> None:
    scores = np.array([0.5, 0.5, 0.5, 0.6, 0.5])
    assert set(stages.heap_survivors(scores, range(5), size=2)) == {1, 3}


def test_the_heap_of_the_authors_step_by_step() -> None:
    # A list kept sorted by (score, index) and cut at its front is another way to say the same.
    random = np.random.default_rng(5)
    for _ in range(50):
        scores = random.choice([0.2, 0.4, 0.4, 0.6, 0.8], 20)
        held: list[tuple[float, int]] = []
        for index, score in enumerate(scores):
            if len(held) < 6:
                held = sorted([*held, (score, index)])
            elif score > held[0][0]:
                held = sorted([*held[1:], (score, index)])
        assert set(stages.heap_survivors(scores, range(20), size=6)) == {index for _, index in held}


@pytest.mark.parametrize("size", [0, 3, 50])
def test_without_ties_the_heap_is_the_top(size: int) -> None:
    scores = np.random.default_rng(1).random(20)
    expected = np.argsort(-scores)[:size]
    np.testing.assert_array_equal(stages.heap_survivors(scores, range(20), size=size), expected)


def test_rows_with_an_ifd_of_one_or_more_or_without_numbers_may_not_compete() -> None:
    sifd = np.array([0.5, 1.5, 0.5, np.nan, 0.5, np.inf])
    ifd = np.array([0.9, 0.9, 1.0, 0.9, np.nan, 0.9])
    assert stages.eligible(sifd, ifd).tolist() == [0, 1]


def test_the_steadiest_come_first_and_rows_without_a_spread_go() -> None:
    std = np.array([0.3, 0.1, np.nan, 0.1, 0.2])
    assert stages.steadiest(std, np.array([0, 3, 2, 1])).tolist() == [3, 1, 0]
