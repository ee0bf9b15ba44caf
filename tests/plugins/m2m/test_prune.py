"""Algorithm 1 against brute force and against the same rule written with sets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.sparse import csr_array

from sftbench_plugins.m2m.lengths import Limits
from sftbench_plugins.m2m.prune import PruneKey, _Descent, prune

ToMatrix = Callable[[Sequence[set[int]]], csr_array]


def limits(num_rows: int, num_wanted: int) -> Limits:
    return Limits.of(np.ones(num_rows), num_wanted, np.zeros(num_rows, dtype=np.int64))


def tiny(seed: int, num_rows: int = 9, num_types: int = 10) -> list[set[int]]:
    draw = np.random.default_rng(seed)
    return [set(draw.choice(num_types, draw.integers(1, 6), replace=False).tolist()) for _ in range(num_rows)]


def largest_pool(rows: Sequence[set[int]], num_types: int) -> int:
    """Most rows whose types all lie in some set of `num_types` types, by trying every set."""
    bits = [sum(1 << kind for kind in row) for row in rows]
    kinds = [1 << kind for kind in set().union(*rows)]
    return max(sum(row & ~sum(kept) == 0 for row in bits) for kept in itertools.combinations(kinds, num_types))


def share_of_optimum(key: PruneKey, to_matrix: ToMatrix) -> float:
    kept = best = 0
    for seed in range(200):
        rows = tiny(seed)
        matrix = to_matrix(rows)
        half = matrix.shape[1] // 2
        pruned = prune(matrix, limits(9, 1), key=key)
        kept += 9 - min(pruned.position(half), 9)
        best += largest_pool(rows, half)
    return kept / best


def test_on_tiny_pools_nearly_as_many_rows_stay_as_brute_force_can_keep(to_matrix: ToMatrix) -> None:
    exclusive, distinct = share_of_optimum("exclusive", to_matrix), share_of_optimum("distinct", to_matrix)
    assert exclusive > 0.93
    assert distinct < exclusive - 0.05


def plain_order(rows: Sequence[set[int]], num_wanted: int) -> list[int]:
    """The rule with every key made anew from sets."""
    left, order = set(range(len(rows))), []
    while len(left) > num_wanted:
        holders = {kind: sum(kind in rows[row] for row in left) for kind in set().union(*rows)}
        order.append(
            max(
                left,
                key=lambda row: (
                    sum(holders[kind] == 1 for kind in rows[row]),
                    round(sum(1 / holders[kind] for kind in sorted(rows[row])), 12),
                    len(rows[row]),
                    -row,
                ),
            )
        )
        left.remove(order[-1])
    return order


@pytest.mark.parametrize("seed", range(10))
def test_rows_go_in_the_order_of_the_rule(seed: int, to_matrix: ToMatrix) -> None:
    rows = tiny(seed, num_rows=40, num_types=60)
    assert prune(to_matrix(rows), limits(40, 5)).order.tolist() == plain_order(rows, 5)


def test_counters_equal_a_recount_after_every_batch(matrix: csr_array) -> None:
    num_rows = matrix.shape[0]
    state = _Descent(matrix, limits(num_rows, 300))
    for _ in range(12):
        state.remove(state.next("exclusive", 150))
        alive = np.flatnonzero(state.alive)
        left = matrix[alive]
        holders = np.bincount(left.indices, minlength=matrix.shape[1])
        exclusive = [int((holders[left.indices[a:b]] == 1).sum()) for a, b in itertools.pairwise(left.indptr)]
        assert state.exclusive[alive].tolist() == exclusive
        assert state.num_holders.tolist() == holders.tolist()
        assert state.num_types == int((holders > 0).sum())


def test_the_type_count_is_right_after_every_removal(matrix: csr_array) -> None:
    pruned = prune(matrix, limits(matrix.shape[0], 300))
    assert len(pruned.types_after) == len(pruned.order) + 1 == matrix.shape[0] - 300 + 1
    for position in range(0, len(pruned.order) + 1, 97):
        left = matrix[pruned.rows(position)]
        assert pruned.types_after[position] == len(np.unique(left.indices))


def test_later_pools_are_parts_of_earlier_ones_and_positions_are_the_first_that_suffice(matrix: csr_array) -> None:
    pruned = prune(matrix, limits(matrix.shape[0], 300))
    previous = set(range(matrix.shape[0]))
    for wanted in range(int(pruned.types_after[0]), int(pruned.types_after[-1]), -60):
        position = pruned.position(wanted)
        rows = set(pruned.rows(position).tolist())
        assert rows <= previous
        assert pruned.types_after[position] <= wanted
        assert position == 0 or pruned.types_after[position - 1] > wanted
        previous = rows


def test_batches_keep_nearly_as_many_rows_as_single_removals(matrix: csr_array) -> None:
    one_by_one = prune(matrix, limits(matrix.shape[0], 300), batch=10**9)
    batched = prune(matrix, limits(matrix.shape[0], 300), batch=256)
    half = matrix.shape[1] // 2
    left = [matrix.shape[0] - pruned.position(half) for pruned in (one_by_one, batched)]
    assert left[1] > 0.98 * left[0]


def test_the_distinct_key_destroys_the_pool_on_a_corpus(matrix: csr_array) -> None:
    half = matrix.shape[1] // 2
    left = {
        key: matrix.shape[0] - prune(matrix, limits(matrix.shape[0], 1), key=key).position(half)
        for key in ("exclusive", "distinct")
    }
    assert left["distinct"] < 0.7 * left["exclusive"]


def test_every_stratum_keeps_enough_rows_to_fill_its_room(matrix: csr_array) -> None:
    num_rows = matrix.shape[0]
    strata = np.arange(num_rows) % 7
    given = Limits.of(np.ones(num_rows), 403, strata)
    left = prune(matrix, given).rows(num_rows - 403)
    assert np.bincount(strata[left], minlength=7).tolist() == given.room.astype(int).tolist()


def test_under_a_budget_in_costs_what_is_left_still_fills_the_budget(matrix: csr_array) -> None:
    num_rows = matrix.shape[0]
    costs = np.random.default_rng(0).integers(1, 50, num_rows).astype(float)
    given = Limits.of(costs, 5000.0, np.zeros(num_rows, dtype=np.int64))
    pruned = prune(matrix, given)
    left = costs[pruned.rows(len(pruned.order))].sum()
    assert 5000 <= left < 5000 + 50
