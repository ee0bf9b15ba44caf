"""Budgets are read, turned into allowances, and enforced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench.budget import Budget, RowPrices, allowance, enforce
from sftbench.errors import BudgetError, UsageError
from sftbench.roles import Allowance

PRICES = RowPrices(
    response_tokens=np.array([5, 1, 3, 7]), training_flops=np.array([50.0, 10, 30, 70]), flops_per_second=10.0
)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("200", 200, "rows"),
        ("2k", 2000, "rows"),
        ("10%", 0.1, "share"),
        ("50k tokens", 50_000, "tokens"),
        ("2e15 flops", 2e15, "flops"),
        ("1.5 Pflops", 1.5e15, "flops"),
        ("600s", 600, "device-seconds"),
    ],
)
def test_a_budget_is_read(text, amount, unit):
    budget = Budget.parse(text)
    assert (budget.amount, budget.unit, budget.with_selection) == (pytest.approx(amount), unit, False)


def test_a_budget_may_include_selecting():
    assert Budget.parse("600s+selection").with_selection


@pytest.mark.parametrize("text", ["0", "0%", "101%", "2.5", "ten", "-3", "10%+selection", "5 parsecs", ""])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UsageError):
        Budget.parse(text)


def test_reading_what_is_printed_gives_the_same_budget():
    for text in ("200", "10%", "50000 tokens", "2e+15 flops", "600s", "600s+selection"):
        assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


def test_a_share_is_of_the_whole_pool_rounded_down():
    assert allowance(Budget.parse("60%"), PRICES).num_rows == 2


def test_a_share_of_less_than_one_row_is_refused():
    with pytest.raises(UsageError, match="less than one row"):
        allowance(Budget.parse("10%"), PRICES)


def test_more_rows_than_the_pool_are_refused_with_both_numbers():
    with pytest.raises(UsageError, match=r"5 rows is more than the pool, which has 4"):
        allowance(Budget.parse("5"), PRICES)


def test_more_tokens_than_the_pool_are_refused():
    with pytest.raises(UsageError, match="more than the whole pool"):
        allowance(Budget.parse("17 tokens"), PRICES)


def test_choosing_is_paid_from_a_budget_that_includes_it():
    given = allowance(Budget.parse("100 flops+selection"), PRICES, spent_flops=55)
    assert given.cap == 45
    assert given.fit([2, 1, 0]).tolist() == [2, 1]


def test_choosing_that_used_everything_up_is_an_error():
    with pytest.raises(BudgetError, match="leaves"):
        allowance(Budget.parse("100 flops+selection"), PRICES, spent_flops=95)


def test_seconds_are_flops_over_the_speed():
    assert allowance(Budget.parse("8s"), PRICES).fit([3, 1, 0]).tolist() == [3, 1]


@given(
    costs=st.lists(st.integers(1, 20), min_size=1, max_size=12),
    cap=st.integers(0, 120),
    seed=st.integers(0, 5),
)
def test_fit_takes_the_longest_beginning_that_the_cap_admits(costs, cap, seed):
    order = np.random.default_rng(seed).permutation(len(costs))
    given_ = Allowance(cap=float(cap), row_costs=np.array(costs, dtype=float), unit="tokens")
    taken, spent = [], 0
    for index in order:
        if spent + costs[index] > cap:
            break
        spent += costs[index]
        taken.append(index)
    assert given_.fit(order).tolist() == taken


def test_a_selection_over_budget_is_refused():
    given = allowance(Budget.parse("6 tokens"), PRICES)
    enforce(np.array([0, 1]), given)
    with pytest.raises(BudgetError, match="takes 8 tokens and was given 6"):
        enforce(np.array([0, 2]), given)


@given(st.lists(st.floats(0.25, 8), min_size=1, max_size=8), st.floats(0, 30), st.randoms())
def test_a_ranking_taken_as_it_is_made_is_the_one_that_fits(costs, cap, random):
    given_ = Allowance(cap=cap, row_costs=np.array(costs), unit="tokens")
    ranking = random.sample(range(len(costs)), len(costs))
    assert given_.take(iter(ranking)).tolist() == given_.fit(ranking).tolist()


def test_no_more_of_a_ranking_is_asked_for_than_can_fit():
    asked = []

    def ranking():
        for row in range(9):
            asked.append(row)
            yield row

    assert Allowance(cap=3.0, row_costs=np.ones(9), unit="rows").take(ranking()).tolist() == [0, 1, 2]
    assert asked == [0, 1, 2]


def test_what_is_left_may_pay_for_more():
    given_ = Allowance(cap=6.0, row_costs=np.array([3.0, 2.0, 0.0, 4.0]), unit="tokens")
    assert given_.pays_for_more([0])
    assert given_.pays_for_more([3])
    assert not given_.pays_for_more([0, 1])
    assert not given_.pays_for_more([0, 1, 2, 3])
