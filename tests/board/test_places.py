"""Intervals of ranks, claims over several budgets, and differences that could be told, in worlds with a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from sftbench.board.build import build_board
from sftbench.board.detectable import detectable_differences, smallest_told
from sftbench.board.noise import TrainingNoise, fit_noise
from sftbench.board.ranking import Elsewhere, Measurements
from sftbench.board.spread import Grid, Spread, subtract, take_apart
from sftbench.board.statistics import apart, holm

Floats = npt.NDArray[np.float64]
ITEMS = 60


def drawn(rng: np.random.Generator, means: npt.ArrayLike, *, seeds: int = 3, noise: float = 0.05) -> Floats:
    """Values [rows, seeds, items] with training `noise`, an item effect per row, and a rest."""
    skills = np.asarray(means, dtype=np.float64)[:, None, None]
    rows = len(skills)
    return (
        skills
        + noise * rng.normal(size=(rows, seeds, 1))
        + rng.normal(0, 0.3, (rows, 1, ITEMS))
        + rng.normal(0, 0.4, (rows, seeds, ITEMS))
    )


def noise_of(spreads: list[Spread]) -> TrainingNoise | None:
    freedoms = np.array([each.num_seeds - 1.0 for each in spreads])
    return fit_noise(np.array([each.seed_variance for each in spreads]), freedoms)


def measured(values: Floats) -> Measurements:
    """One budget of a board whose row 0 is the one that others are held to."""
    grids = [Grid(seeds=tuple(range(len(each))), values=each) for each in values]
    spreads = {row: spread for row, grid in enumerate(grids) if (spread := take_apart(grid)) is not None}
    noise = noise_of(list(spreads.values()))
    return Measurements(
        name="score", key="x", bigger_is_better=True, num_items=ITEMS, grids=list(grids), spreads=spreads,
        noise=noise, noise_of_contenders=noise, matched={}, reference=0,
    )  # fmt: skip


def test_places_hold_the_true_ranks_of_all_rows_together() -> None:
    rng, means = np.random.default_rng(40), np.array([0.0, 0.05, 0.1, 0.3, 0.5, 1.0])
    truth = {row: 6 - row for row in range(6)}
    held, narrow = [], []
    for _ in range(300):
        found = measured(drawn(rng, means)).standings()
        held.append(all(each.places[0] <= truth[row] <= each.places[1] for row, each in found.items()))
        narrow.append(found[5].places == (1, 1))
    assert np.mean(held) >= 0.95
    assert np.mean(narrow) > 0.9  # not by being wide: the best is far ahead


def test_places_of_equal_rows_hold_every_rank() -> None:
    rng = np.random.default_rng(41)
    held = [all(each.places == (1, 5) for each in measured(drawn(rng, np.zeros(5))).standings().values())
            for _ in range(300)]  # fmt: skip
    assert np.mean(held) >= 0.94


def test_places_are_one_and_more_than_those_told_better_up_to_all_but_those_told_worse() -> None:
    board = measured(drawn(np.random.default_rng(42), [0.0, 0.15, 0.3, 0.45, 0.9]))
    told = holm(board.pairs.p) <= 0.05
    assert 0 < told.sum() < len(told)
    standings = list(board.standings().values())
    ahead = [sum(flag for (_, worse), flag in zip(board.pairs.pairs, told, strict=True) if worse == row)
             for row in range(5)]  # fmt: skip
    behind = [sum(flag for (better, _), flag in zip(board.pairs.pairs, told, strict=True) if better == row)
              for row in range(5)]  # fmt: skip
    assert [each.places for each in standings] == [
        (1 + above, 5 - below) for above, below in zip(ahead, behind, strict=True)
    ]


@pytest.mark.parametrize(("rows", "boards"), [(2, 300), (4, 80)])
def test_boards_of_three_budgets_without_a_difference_seldom_name_a_winner_or_claim_anything(
    rows: int, boards: int
) -> None:
    """With a family for each budget, two rows at three budgets would name a winner on every seventh board."""
    rng = np.random.default_rng(43)
    winners = tiers = chance = alone = 0
    for _ in range(boards):
        budgets = [measured(drawn(rng, np.zeros(rows))) for _ in range(3)]
        found = []
        for each in budgets:
            elsewhere = Elsewhere.of([other for other in budgets if other is not each])
            found.append((list(each.standings(elsewhere.pairs).values()), elsewhere, each))
        winners += any(sum(row.tied_with_best for row in standings) == 1 for standings, _, _ in found)
        tiers += any(row.tier > 1 for standings, _, _ in found for row in standings)
        chance += any(apart(each.baseline_pairs.p, elsewhere.baseline).any() for _, elsewhere, each in found)
        alone += any(sum(row.tied_with_best for row in each.standings().values()) == 1 for each in budgets)
    assert winners / boards < 0.05
    assert tiers / boards < 0.09  # five in a hundred, and what so few boards can add
    assert chance / boards < 0.09
    if rows == 2:
        assert alone / boards > 0.07


@pytest.mark.parametrize(("rows", "seeds", "noise"), [(4, 3, 0.05), (8, 3, 0.2), (8, 5, 0.05), (4, 1, 0.0)])
def test_a_difference_of_the_size_that_is_promised_is_told_four_times_in_five(
    rows: int, seeds: int, noise: float
) -> None:
    rng = np.random.default_rng(44)
    promised = []
    for _ in range(40):
        compared = measured(drawn(rng, np.zeros(rows), seeds=seeds, noise=noise)).baseline_pairs
        known = [each for each in compared.differences if each is not None]
        promised.append(np.median(detectable_differences(known, compared.noise, num_comparisons=rows - 1)))
    means, told = np.zeros(rows), []
    means[1] = np.median(promised)
    for _ in range(400):
        compared = measured(drawn(rng, means, seeds=seeds, noise=noise)).baseline_pairs
        pair = compared.pairs.index((1, 0))
        difference = compared.differences[pair]
        told.append(difference is not None and difference.mean > 0 and holm(compared.p)[pair] <= 0.05)
    assert 0.75 <= np.mean(told) <= 0.85


def test_without_training_noise_it_is_the_textbook_formula() -> None:
    """(z of the bar + z of the power) standard errors."""
    (found,) = smallest_told(np.zeros(1), np.full(1, 0.04), freedom=np.inf, bar=0.05 / 7)
    assert found == pytest.approx(0.2 * (stats.norm.isf(0.025 / 7) + stats.norm.ppf(0.8)), rel=1e-4)


def test_nothing_is_promised_where_nothing_could_be_told() -> None:
    three = Grid(seeds=(0,), values=np.array([[0.0, 1.0, 1.0]]))
    constant = Grid(seeds=(0, 1), values=np.ones((2, 50)))
    few, still = subtract(three, Grid(seeds=(0,), values=np.zeros((1, 3)))), subtract(constant, constant)
    assert few is not None
    assert still is not None
    assert detectable_differences([few], None, num_comparisons=1).size == 0
    assert detectable_differences([still], None, num_comparisons=1).size == 0
    assert detectable_differences([], None, num_comparisons=0).size == 0


def test_the_family_is_over_all_budgets_of_a_board(results: Any) -> None:
    for budget in ("5%", "10%"):
        results.add("good", budget=budget, skill=0.6)
        results.add("random", budget=budget, skill=0.5, kind="control")
    board = build_board(results.folder, num_resamples=40)
    told = {(each.budget, each.metric): each for each in board.detectable}
    assert {each.num_comparisons for each in told.values()} == {2}
    assert set(told) == {(budget, metric) for budget in board.budgets for metric in board.bigger_is_better}
    one = told["5%", "exact-match"]
    assert (one.control, one.num_seeds, one.num_items, one.with_training_noise) == ("random", 3, 120, True)
