"""Algorithm 2: covering, filling, limits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.sparse import csr_array

from sftbench_plugins.m2m.choose import Choice, Uniformity, choose
from sftbench_plugins.m2m.lengths import Limits
from sftbench_plugins.m2m.report import entropy


def chosen(matrix: csr_array, num_wanted: int, uniformity: Uniformity | None = "rarest", seed: int = 0) -> Choice:
    num_rows = matrix.shape[0]
    given = Limits.of(np.ones(num_rows), num_wanted, np.zeros(num_rows, dtype=np.int64))
    return choose(matrix, given, uniformity=uniformity, generator=np.random.default_rng(seed))


def types_of(matrix: csr_array, rows: np.ndarray) -> set[int]:  # type: ignore[type-arg]
    return set(matrix[rows].indices.tolist())


def test_the_cover_holds_every_type_and_every_row_of_it_adds_one(matrix: csr_array) -> None:
    choice = chosen(matrix, matrix.shape[0], None)
    assert types_of(matrix, choice.rows) == set(range(matrix.shape[1]))
    gains = []
    for place in range(choice.num_cover):
        before = types_of(matrix, choice.rows[:place])
        gains.append(len(types_of(matrix, choice.rows[place : place + 1]) - before))
    assert min(gains) >= 1
    assert gains == sorted(gains, reverse=True), "a greedy cover never gains more later than earlier"


def test_every_step_of_the_cover_takes_a_row_of_largest_gain(matrix: csr_array) -> None:
    choice = chosen(matrix, matrix.shape[0], None)
    rows = [set(matrix.indices[a:b].tolist()) for a, b in itertools.pairwise(matrix.indptr)]
    missing = set(range(matrix.shape[1]))
    for row in choice.rows[: choice.num_cover].tolist():
        assert len(rows[row] & missing) == max(len(types & missing) for types in rows)
        missing -= rows[row]


@pytest.mark.parametrize("seed", range(8))
def test_a_budget_below_the_cover_gets_greedy_maximum_coverage(
    seed: int, to_matrix: Callable[[Sequence[set[int]]], csr_array]
) -> None:
    draw = np.random.default_rng(seed)
    rows = [set(draw.choice(30, 5, replace=False).tolist()) for _ in range(12)]
    best = max(len(set().union(*some)) for some in itertools.combinations(rows, 4))
    choice = chosen(to_matrix(rows), 4)
    assert len(choice.rows) == 4
    assert choice.num_types >= (1 - 1 / np.e) * best


@pytest.mark.parametrize("uniformity", ["rarest", "none"])
def test_as_many_different_rows_as_asked_for_are_chosen_and_all_types_stay(
    matrix: csr_array, uniformity: Uniformity
) -> None:
    choice = chosen(matrix, 1000, uniformity)
    assert len(choice.rows) == len(set(choice.rows.tolist())) == 1000
    assert choice.num_types == matrix.shape[1]
    assert choice.holders.tolist() == np.bincount(matrix[choice.rows].indices, minlength=matrix.shape[1]).tolist()


def test_filling_by_the_rarest_type_gives_more_even_types_than_filling_at_random(matrix: csr_array) -> None:
    even, loose = chosen(matrix, 1000, "rarest"), chosen(matrix, 1000, "none")
    assert even.rows[: even.num_cover].tolist() == loose.rows[: loose.num_cover].tolist()
    assert entropy(even.holders) > entropy(loose.holders)


def test_each_filled_row_holds_a_type_that_was_rarest_among_those_still_to_be_had(matrix: csr_array) -> None:
    choice = chosen(matrix, 700)
    counts = np.bincount(matrix[choice.rows[: choice.num_cover]].indices, minlength=matrix.shape[1])
    holders = np.bincount(matrix.indices, minlength=matrix.shape[1])
    for row in choice.rows[choice.num_cover :].tolist():
        held = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        assert counts[held].min() == counts[counts < holders].min()
        counts[held] += 1


def test_the_same_seed_gives_the_same_rows_and_another_seed_gives_others(matrix: csr_array) -> None:
    assert chosen(matrix, 900).rows.tolist() == chosen(matrix, 900).rows.tolist()
    assert set(chosen(matrix, 900).rows.tolist()) != set(chosen(matrix, 900, seed=1).rows.tolist())


def test_no_stratum_gets_more_than_its_room_and_all_rooms_are_filled(matrix: csr_array) -> None:
    num_rows = matrix.shape[0]
    strata = np.random.default_rng(3).integers(0, 5, num_rows)
    given = Limits.of(np.ones(num_rows), 611, strata)
    choice = choose(matrix, given, uniformity="rarest", generator=np.random.default_rng(0))
    assert np.bincount(strata[choice.rows], minlength=5).tolist() == given.room.astype(int).tolist()


def test_under_a_budget_in_costs_cheap_rows_with_many_types_come_first(matrix: csr_array) -> None:
    num_rows = matrix.shape[0]
    costs = np.where(np.arange(num_rows) % 2 == 0, 1.0, 100.0)
    given = Limits.of(costs, 400.0, np.zeros(num_rows, dtype=np.int64))
    choice = choose(matrix, given, uniformity="rarest", generator=np.random.default_rng(0))
    assert costs[choice.rows].sum() <= 400
    assert (costs[choice.rows[:100]] == 1).all()


def test_rows_without_types_come_last(to_matrix: Callable[[Sequence[set[int]]], csr_array]) -> None:
    choice = chosen(to_matrix([set(), {0, 1}, set(), {1, 2}, {0}]), 4)
    assert set(choice.rows[:3].tolist()) == {1, 3, 4}
    assert choice.rows[3] in (0, 2)


def test_entropy_is_the_logarithm_of_the_number_of_types_when_all_are_equally_frequent() -> None:
    assert entropy(np.full(37, 4)) == pytest.approx(np.log(37))
    assert entropy(np.array([0, 5, 0])) == 0.0
    assert entropy(np.array([1, 3])) == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
