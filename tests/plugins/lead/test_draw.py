"""Which rows are drawn: the bandit, the share of each source, reuse and the allowance, with losses made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sftbench_plugins.lead.draw import Draw, Terms
from sftbench_plugins.lead.utility import Utilities

Losses = Callable[[np.ndarray, int], np.ndarray]


def make(
    arms: list[list[int]], utilities: np.ndarray | None = None, *, seed: int = 0, source: list[int] | None = None,
    **terms: Any,
) -> Draw:  # fmt: skip
    count = sum(map(len, arms))
    values = np.linspace(2, 3, count) if utilities is None else utilities
    given = {"costs": np.ones(count), "cap": count, "take": 0.5, "fewest": 1, "max_uses": 4, **terms}
    return Draw(
        [np.array(each) for each in arms], source=np.array(source or [0] * count),
        utilities=Utilities(values=values.copy()), terms=Terms(**given), gamma=0.1, rng=np.random.default_rng(seed),
    )  # fmt: skip


def run(draw: Draw, losses: Losses) -> list[list[int]]:
    """Rounds to the end; `losses` of rows at their number of uses."""
    rounds = []
    while (rows := draw.next()) is not None:
        rounds.append(rows.tolist())
        draw.told(rows, losses(rows, len(rounds)))
    return rounds


def falling(rows: np.ndarray, number: int) -> np.ndarray:
    return np.full(len(rows), 1.0 / number)


def test_a_round_takes_the_best_of_each_source_in_one_arm() -> None:
    source = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    draw = make([list(range(10))], np.arange(10.0), source=source, take=0.5)
    assert draw.next().tolist() == [9, 8, 7, 3, 2]  # type: ignore[union-attr]


def test_a_round_takes_at_least_so_many_and_fills_up_with_the_best_of_all() -> None:
    draw = make([list(range(10))], np.arange(10.0), source=[0] * 5 + [1] * 5, take=0.2, fewest=4)
    assert draw.next().tolist() == [9, 8, 7, 4]  # type: ignore[union-attr]


def test_equal_utilities_go_by_the_order_of_the_pool() -> None:
    draw = make([[0, 1, 2, 3]], np.ones(4), take=0.5)
    assert draw.next().tolist() == [0, 1]  # type: ignore[union-attr]


def test_an_arm_with_less_gives_what_is_left_and_the_next_is_drawn() -> None:
    rounds = run(make([[0, 1], [2, 3, 4]], fewest=10, max_uses=1), falling)
    assert sorted(map(sorted, rounds)) == [[0, 1], [2, 3, 4]]


@pytest.mark.parametrize("max_uses", [1, 3])
def test_no_row_is_used_more_often_than_allowed(max_uses: int) -> None:
    # Losses that rise keep used rows at the top.
    draw = make([list(range(8)), list(range(8, 16))], take=0.3, max_uses=max_uses)
    rounds = run(draw, lambda rows, number: np.full(len(rows), 9.0 + number))
    uses = np.bincount(np.concatenate(rounds), minlength=16)
    assert uses.max() == max_uses
    assert uses.tolist() == draw.uses.tolist()
    assert sorted(draw.taken) == list(range(16))


def test_rows_are_told_once_and_in_the_order_of_first_use() -> None:
    draw = make([list(range(12))], take=0.3)
    rounds = run(draw, lambda rows, number: np.full(len(rows), 5.0))
    firsts = list(dict.fromkeys(row for rows in rounds for row in rows))
    assert draw.taken == firsts
    assert sum(draw.trace.num_new) == len(firsts) < sum(draw.trace.num_rows)


def test_an_allowance_in_rows_is_met_and_not_exceeded_and_used_rows_are_free() -> None:
    draw = make([list(range(10)), list(range(10, 20))], take=0.2, cap=7)
    rounds = run(draw, lambda rows, number: np.full(len(rows), 9.0))
    assert len(draw.taken) == 7 == draw.spent
    assert len(np.concatenate(rounds)) > 7


def test_an_allowance_in_tokens_passes_over_what_does_not_fit() -> None:
    costs = np.random.default_rng(0).integers(1, 30, 40).astype(float)
    draw = make([list(range(20)), list(range(20, 40))], costs=costs, cap=100, take=0.2)
    run(draw, falling)
    assert draw.spent == costs[draw.taken].sum() <= 100
    left = np.setdiff1d(np.arange(40), draw.taken)
    assert costs[left].min() > 100 - draw.spent


def test_where_work_is_counted_every_use_is_paid() -> None:
    costs = np.random.default_rng(0).integers(1, 9, 20).astype(float)
    draw = make([list(range(10)), list(range(10, 20))], costs=costs, cap=60, take=0.4, pays_again=True)
    rounds = run(draw, lambda rows, number: np.full(len(rows), 9.0))
    assert draw.spent == costs[np.concatenate(rounds)].sum() <= 60
    assert len(np.concatenate(rounds)) > len(draw.taken)


def test_a_row_whose_utility_is_no_number_is_not_drawn_nor_one_that_lost_it() -> None:
    utilities = np.linspace(1, 2, 10)
    utilities[[2, 7]] = np.nan
    draw = make([list(range(10))], utilities, take=0.4)
    seen = run(draw, lambda rows, number: np.where(rows == 9, np.nan, 5.0))
    drawn = np.concatenate(seen)
    assert not {2, 7} & set(drawn)
    assert (drawn == 9).sum() == 1


def test_the_schedule_is_the_seeds() -> None:
    first, again, other = (
        run(make([list(range(20)), list(range(20, 40))], take=0.2, seed=s), falling) for s in (1, 1, 2)
    )
    assert first == again != other


def test_the_weight_of_the_arm_that_teaches_most_grows() -> None:
    """Losses fall in the second of four arms and stay where they are in the others."""
    arms = [list(range(start, start + 400)) for start in (0, 400, 800, 1200)]
    shares = []
    for seed in range(10):
        draw = make(arms, np.full(1600, 3.0), seed=seed, take=0.02, cap=900, max_uses=1)
        run(draw, lambda rows, number: np.where((rows >= 400) & (rows < 800), 1.0, 3.0))
        chances = draw.bandit.distribution(np.ones(4, dtype=bool))
        shares.append(chances[1])
        assert int(np.argmax(draw.bandit.log_weights)) == 1
    assert np.mean(shares) > 0.5
    assert len(draw.trace.arm) == len(draw.trace.fall_of_utility) == len(draw.trace.chance)
