"""Chance draws every order equally often; everything is the pool as it is; the methods stand as boards need them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from sftbench import Allowance, Pool
from sftbench_plugins.controls import sftbench_methods
from sftbench_plugins.controls.plain import Everything, Random

MakePool = Callable[..., Pool]


def rows(cap: int, of: int) -> Allowance:
    return Allowance(cap=float(cap), row_costs=np.ones(of), unit="rows")


def test_every_ordered_pair_is_drawn_equally_often(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    pool, draws = make_pool(["a", "b", "c", "d"]), 1200
    seen = Counter(Random().select(pool, None, rows(2, 4), desk(seed=seed)).ids for seed in range(draws))
    expected = draws / 12
    assert set(seen) == set(permutations(pool.ids, 2))
    chi_squared = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_squared < 31.3  # the 0.1 % point with 11 degrees of freedom


def test_a_seed_fixes_the_draw_and_a_smaller_budget_takes_its_beginning(
    make_pool: MakePool, desk: Callable[..., Any]
) -> None:
    pool = make_pool(["a"] * 20)
    large = Random().select(pool, None, rows(12, 20), desk(seed=5)).ids
    assert Random().select(pool, None, rows(4, 20), desk(seed=5)).ids == large[:4]
    assert Random().select(pool, None, rows(12, 20), desk(seed=6)).ids != large


def test_chance_keeps_within_a_budget_of_tokens(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    costs = np.arange(1.0, 21.0)
    chosen = Random().select(make_pool(["a"] * 20), None, Allowance(cap=60.0, row_costs=costs, unit="tokens"), desk())
    spent = sum(costs[int(row_id[1:])] for row_id in chosen.ids)
    assert 40 < spent <= 60


def test_rows_that_leave_nothing_to_train_on_are_not_drawn(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    tokens = np.arange(20) % 4
    chosen = Random().select(make_pool(["a"] * 20), None, rows(20, 20), desk(tokens=tokens)).ids
    assert sorted(chosen) == sorted(f"r{at}" for at in range(20) if at % 4)


def test_two_purposes_of_one_seed_draw_apart(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    pool, shared = make_pool(["a"] * 100), 0
    for seed in range(50):
        drawn = [
            set(Random(purpose=each).select(pool, None, rows(20, 100), desk(seed=seed)).ids) for each in ("a", "b")
        ]
        shared += len(drawn[0] & drawn[1])
    # Hypergeometric: 4 of 20 are shared on average, with a variance of 2.6 for each seed.
    assert abs(shared - 50 * 4) < 4 * (50 * 2.6) ** 0.5


def test_everything_is_the_pool_in_its_order(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    pool = make_pool(["a", "b", "c"])
    assert Everything().select(pool, None, rows(3, 3), desk()).ids == ("r0", "r1", "r2")


def test_the_controls_that_every_board_shows_are_offered() -> None:
    methods = {method.name: method for method in sftbench_methods()}
    names = {"base", "full", "random", "longest", "random-lengths", "random-tokens", "random-compute"}
    assert set(methods) == names
    assert all(method.control for method in methods.values())
    assert [name for name, method in methods.items() if not method.trains] == ["base"]
    matched = {name for name, method in methods.items() if method.matched_to_each}
    assert matched == {"random-lengths", "random-tokens", "random-compute"}
