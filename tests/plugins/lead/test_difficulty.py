"""Difficulty against means by hand, and the clusters made of it."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench import PassResult, Ragged
from sftbench_plugins.lead.difficulty import clusters_of, judged

NAN = float("nan")


def passed(*rows: list[float], reasons: dict[int, str] | None = None) -> PassResult:
    return PassResult(values=Ragged.of([np.array(each) for each in rows]), reasons=reasons or {}, notes={})


def test_difficulty_is_the_ratio_of_mean_losses_over_the_same_tokens() -> None:
    found = judged(passed([1.0, 2.0, 3.0], [0.5, 0.5]), passed([NAN, 4.0, 4.0], [1.0, 1.0]))
    assert found.losses.tolist() == pytest.approx([2.0, 0.5])
    assert found.difficulty.tolist() == pytest.approx([2.5 / 4.0, 0.5])
    assert found.reasons == {}


def test_an_instruction_that_does_not_help_counts_as_the_hardest() -> None:
    found = judged(passed([3.0, 3.0], [1.0, 1.0]), passed([1.0, 1.0], [2.0, 2.0]))
    assert found.difficulty.tolist() == [1.0, 0.5]


def test_rows_without_tokens_or_numbers_are_never_drawn_and_say_why() -> None:
    conditional = passed([], [NAN, NAN], [], [1.0], reasons={0: "empty_response", 2: "prompt_too_long"})
    found = judged(conditional, passed([], [1.0, 1.0], [], [2.0]))
    assert found.reasons == {0: "empty_response", 1: "non_finite", 2: "prompt_too_long"}
    assert np.isnan(found.difficulty).tolist() == [True, True, True, False]


def test_a_row_of_one_token_has_a_loss_and_the_middle_difficulty_where_it_has_none() -> None:
    found = judged(passed([7.0], [1.0, 1.0], [3.0, 3.0]), passed([NAN], [2.0, 2.0], [4.0, 4.0]))
    assert found.losses[0] == 7.0
    assert found.difficulty.tolist() == pytest.approx([0.625, 0.5, 0.75])
    assert found.single.tolist() == [True, False, False]


def test_separated_difficulties_are_found_easiest_first() -> None:
    draw = np.random.default_rng(0)
    centres = np.array([0.1, 0.4, 0.7, 0.95])
    truth = draw.permutation(np.repeat(np.arange(4), 25))
    values = centres[truth] + draw.normal(0, 0.01, 100)
    values[3] = np.nan
    found = clusters_of(values, 4, seed=0)
    for number, rows in enumerate(found):
        assert sorted(rows) == [at for at in np.flatnonzero(truth == number) if at != 3]
    assert [list(each) for each in found] == [list(each) for each in clusters_of(values, 4, seed=0)]


def test_a_small_pool_has_as_many_clusters_as_values() -> None:
    assert [list(each) for each in clusters_of(np.array([0.5, 0.5, np.nan, 0.2]), 7, seed=0)] == [[3], [0, 1]]
    assert [list(each) for each in clusters_of(np.full(3, 0.5), 7, seed=0)] == [[0, 1, 2]]
    assert clusters_of(np.full(3, np.nan), 7, seed=0) == []
