"""Tiers: who can be told apart, who is tied with the best, and how often chance alone would name a winner."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from sftbench.board.noise import TrainingNoise, fit_noise
from sftbench.board.spread import Grid, subtract, take_apart
from sftbench.board.statistics import holm, p_values
from sftbench.board.tiers import Compared, Standing, compare_all, judge_planned, seeds_to_tell, stand

Floats = npt.NDArray[np.float64]


def board(values: Floats) -> tuple[list[Grid], TrainingNoise | None]:
    """Grids in order of their mean, best (biggest) first, and their noise."""
    grids = [Grid(seeds=tuple(range(len(each))), values=each) for each in values]
    grids.sort(key=lambda grid: -grid.values.mean())
    found = [spread for grid in grids if (spread := take_apart(grid)) is not None]
    seeds = np.array([spread.num_seeds - 1.0 for spread in found])
    return grids, fit_noise(np.array([spread.seed_variance for spread in found]), seeds)


def simulated(
    rng: np.random.Generator, skills: list[float], *, seeds: int, spread: float = 0.0, noise: float = 0.05
) -> Floats:
    """Rows [R, S, I] on common items; the training `noise` differs between rows by a factor exp(`spread` z)."""
    rows, items = len(skills), 150
    noises = noise * np.exp(spread * rng.normal(size=(rows, 1, 1)))
    return (
        np.array(skills)[:, None, None]
        + rng.normal(0, 1.0, items)
        + rng.normal(0, 0.3, (rows, 1, items))
        + noises * rng.normal(size=(rows, seeds, 1))
        + rng.normal(0, 0.4, (rows, seeds, items))
    )


def standings(values: Floats) -> list[Standing]:
    return ranked(*board(values))


def ranked(grids: list[Grid], noise: TrainingNoise | None, *, bigger_is_better: bool = True) -> list[Standing]:
    return stand(compare_all(grids, noise), num_rows=len(grids), bigger_is_better=bigger_is_better)


@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("rows", [3, 8])
def test_equal_rows_seldom_give_a_single_winner(rows: int, seeds: int) -> None:
    rng, boards = np.random.default_rng(20), 200 if rows == 3 else 120
    noise = 0.0 if seeds == 1 else 0.05  # one seed says nothing of training noise, and the board says so
    winners = errors = 0
    for _ in range(boards):
        found = standings(simulated(rng, [0.0] * rows, seeds=seeds, spread=0.4, noise=noise))
        winners += sum(each.tied_with_best for each in found) == 1
        errors += any(each.tier > 1 for each in found)
    assert winners / boards < 0.05
    assert errors / boards < 0.09  # five in a hundred, and what a simulation of this size can add


def test_two_equal_rows_seldom_give_a_winner() -> None:
    rng = np.random.default_rng(21)
    winners = [standings(simulated(rng, [0.0, 0.0], seeds=3))[1].tier == 2 for _ in range(400)]
    assert np.mean(winners) < 0.05


def test_clear_differences_are_found_with_three_seeds_because_rows_share_what_they_know_of_noise() -> None:
    rng = np.random.default_rng(22)
    found = standings(simulated(rng, [1.0, 0.5, 0.5, 0.0, 0.0, -0.5, -0.5, -1.0], seeds=3))
    assert [each.tier for each in found] == [1, 2, 2, 3, 3, 4, 4, 5]
    assert [each.tied_with_best for each in found] == [True] + [False] * 7


def test_no_two_rows_of_a_tier_can_be_told_apart_and_each_tier_rests_on_the_one_before() -> None:
    rng = np.random.default_rng(23)
    for _ in range(20):
        grids, noise = board(simulated(rng, list(rng.normal(0, 0.15, 9)), seeds=3, spread=0.5))
        found = ranked(grids, noise)
        pairs = list(combinations(range(9), 2))
        adjusted = holm(p_values([subtract(grids[a], grids[b]) for a, b in pairs], noise))
        told = {pair: p <= 0.05 for pair, p in zip(pairs, adjusted, strict=True)}
        assert all(found[a].tier != found[b].tier for (a, b), apart in told.items() if apart)
        for row in range(9):
            better = [above for above in range(row) if told[above, row]]
            assert found[row].tier == 1 or any(found[above].tier == found[row].tier - 1 for above in better)
            assert found[row].tied_with_best == (0 not in better)


def test_smaller_is_better_turns_the_order_around() -> None:
    values = simulated(np.random.default_rng(24), [0.0, 1.0, 2.0], seeds=3)
    grids, noise = board(values)
    assert [each.tier for each in ranked(grids[::-1], noise, bigger_is_better=False)] == [1, 2, 3]


def test_identical_rows_are_tied_and_no_number_of_seeds_would_help() -> None:
    row = Grid(seeds=(0, 1, 2), values=np.random.default_rng(25).normal(size=(3, 50)))
    found = ranked([row, row], None)
    assert [each.tied_with_best for each in found] == [True, True]
    assert found[1].seeds_to_tell is None


def test_the_promised_number_of_seeds_is_the_first_that_passes() -> None:
    rng = np.random.default_rng(26)
    items = rng.normal(0, 0.01, 100)
    first = Grid(seeds=(0, 1, 2), values=np.array([0.0, 0.2, 0.1])[:, None] + 0.08 + items)
    second = Grid(seeds=(0, 1, 2), values=np.array([0.1, 0.0, 0.2])[:, None] + np.zeros(100))
    difference = subtract(first, second)
    assert difference is not None
    promised = seeds_to_tell(difference, None, num_pairs=1)
    assert promised is not None
    assert promised > 3

    def passes(seeds: int) -> bool:
        # Student's test by hand: the items hardly vary.
        from scipy import stats

        deviation = np.sqrt(difference.seed_variance / seeds)
        return bool(2 * stats.t.sf(abs(difference.mean) / deviation, seeds - 1) <= 0.05)

    assert passes(promised)
    assert not passes(promised - 1)


def test_a_single_row_stands_alone() -> None:
    grids = [Grid(seeds=(0,), values=np.ones((1, 5)))]
    alone = Standing(tier=1, tied_with_best=True, seeds_to_tell=None, places=(1, 1))
    assert ranked(grids, None) == [alone]
    assert ranked([], None) == []


def test_planned_comparisons_of_equal_rows_seldom_find_one_and_their_family_is_themselves() -> None:
    rng = np.random.default_rng(27)
    wrong = 0
    for _ in range(200):
        values = simulated(rng, [0.0] * 8, seeds=3)
        drawn = [Grid(seeds=(0, 1, 2), values=each) for each in values]
        noise = board(values)[1]
        planned = judge_planned(Compared.of(drawn, [(0, 1), (2, 3), (4, 5), (6, 7)], noise))
        raw = p_values([subtract(one, other) for one, other in zip(drawn[::2], drawn[1::2], strict=True)], noise)
        told = [each is not None and each.told_apart for each in planned]
        assert told == (holm(raw) <= 0.05).tolist()
        wrong += any(told)
    assert wrong / 200 < 0.09


def test_a_planned_comparison_of_rows_without_common_items_is_none() -> None:
    one = Grid(seeds=(0,), values=np.array([[1.0, np.nan]]))
    other = Grid(seeds=(0,), values=np.array([[np.nan, 1.0]]))
    assert judge_planned(Compared.of([one, other], [(0, 1)], None)) == [None]
    assert judge_planned(Compared.of([], [], None)) == []
