"""Means, intervals and differences, against closed forms, brute force and simulated worlds with a known truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from sftbench.board.noise import TrainingNoise, fit_noise
from sftbench.board.spread import Grid, Spread, subtract, take_apart
from sftbench.board.statistics import apart as passing
from sftbench.board.statistics import estimate_all, holm, p_values

Floats = npt.NDArray[np.float64]
WORLDS = {
    "training noise leads": (0.2, 0.3, 0.5),
    "both matter": (0.04, 0.4, 0.5),
    "items lead": (0.002, 1.0, 0.1),
    "nothing but rest": (0.0, 0.0, 0.5),
}


def grid(values: npt.ArrayLike, *, seeds: tuple[int, ...] | None = None, still: bool = False) -> Grid:
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    return Grid(seeds=seeds or tuple(range(len(array))), values=array, still=still)


def apart(values: npt.ArrayLike) -> Spread:
    found = take_apart(grid(values))
    assert found is not None
    return found


def world(rng: np.random.Generator, name: str, *, rows: int, seeds: int, items: int = 80) -> Floats:
    """Values [rows, seeds, items] with mean 0 for every row, balanced and two-level."""
    seed_deviation, item_deviation, rest = WORLDS[name]
    return (
        rng.normal(0, seed_deviation, (rows, seeds, 1))
        + rng.normal(0, item_deviation, (rows, 1, items))
        + rng.normal(0, rest, (rows, seeds, items))
    )


def share_covering(estimates: list[tuple[float | None, float | None]], truth: float = 0.0) -> float:
    return float(np.mean([low <= truth <= high for low, high in estimates if low is not None and high is not None]))


def test_the_mean_is_that_of_seed_means_over_finite_items() -> None:
    spread = apart([[1.0, 0.0, np.nan, 1.0], [0.0, 0.0, 1.0, 0.0]])
    assert spread.mean == pytest.approx((2 / 3 + 1 / 4) / 2)
    assert (spread.num_seeds, spread.num_items, spread.num_missing) == (2, 4, 1)


def test_a_seed_or_item_without_any_value_is_not_counted() -> None:
    spread = apart([[1.0, np.nan, 3.0], [np.nan] * 3, [2.0, np.nan, 4.0]])
    assert (spread.num_seeds, spread.num_items) == (2, 2)
    assert spread.mean == 2.5
    assert take_apart(grid([[np.nan, np.nan]])) is None


def test_the_item_variance_is_that_of_the_two_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(4)
    values = world(rng, "both matter", rows=1, seeds=4, items=30)[0]
    mean, by_seed, by_item = values.mean(), values.mean(axis=1), values.mean(axis=0)
    item_square = 4 * sum((each - mean) ** 2 for each in by_item) / 29
    rest_square = sum(
        (values[s, i] - by_seed[s] - by_item[i] + mean) ** 2 for s in range(4) for i in range(30)
    ) / (3 * 29)  # fmt: skip
    assert apart(values).item_variance == pytest.approx((item_square - rest_square) / 4 / 30)
    assert apart(values).seed_variance == pytest.approx(by_seed.var(ddof=1))


def test_with_one_seed_the_interval_is_that_of_the_ordinary_bootstrap_over_items() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(1.0, 60)
    (estimate,) = estimate_all([apart(values)], None, key="x", num_resamples=20_000)
    brute = [rng.choice(values, 60).mean() for _ in range(20_000)]
    low, high = np.quantile(brute, [0.025, 0.975])
    assert estimate.low == pytest.approx(low, abs=0.02)
    assert estimate.high == pytest.approx(high, abs=0.02)


def test_with_equal_items_the_interval_is_students_over_seeds() -> None:
    seed_means = np.array([0.4, 0.5, 0.9])
    (estimate,) = estimate_all([apart(np.repeat(seed_means[:, None], 50, axis=1))], None, key="x")
    half = stats.t.ppf(0.975, 2) * seed_means.std(ddof=1) / np.sqrt(3)
    assert estimate.low == pytest.approx(seed_means.mean() - half, abs=0.01)
    assert estimate.high == pytest.approx(seed_means.mean() + half, abs=0.01)


def test_the_same_data_give_the_same_interval_and_bounds_are_kept() -> None:
    spreads = [apart(np.random.default_rng(6).integers(0, 2, (3, 20)).astype(float))]
    first, second = (estimate_all(spreads, None, key="k", bounds=(0.0, 1.0)) for _ in range(2))
    assert first == second
    assert first[0].low is not None
    assert 0 <= first[0].low <= first[0].mean


def test_a_single_item_has_no_interval() -> None:
    (estimate,) = estimate_all([apart([[0.5], [0.7]])], None, key="x")
    assert (estimate.low, estimate.high) == (None, None)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_of_means_hold_the_truth_95_times_in_100(name: str, seeds: int) -> None:
    values = world(np.random.default_rng(7), name, rows=1500, seeds=seeds)
    estimates = estimate_all([apart(each) for each in values], None, key=name, num_resamples=1000)
    assert 0.93 <= share_covering([(each.low, each.high) for each in estimates]) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_hold_the_truth_when_rows_of_a_board_share_their_noise(name: str, seeds: int) -> None:
    rng, covered = np.random.default_rng(8), []
    for board in range(150):
        spreads = [apart(each) for each in world(rng, name, rows=12, seeds=seeds)]
        noise = fit_noise(np.array([each.seed_variance for each in spreads]), np.full(12, seeds - 1.0))
        estimates = estimate_all(spreads, noise, key=str(board), num_resamples=400)
        covered.append(share_covering([(each.low, each.high) for each in estimates]))
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", WORLDS)
def test_differences_of_equal_rows_are_covered_when_rows_of_a_board_share_their_noise(name: str, seeds: int) -> None:
    rng, covered = np.random.default_rng(12), []
    for board in range(150):
        rows = [grid(each) for each in world(rng, name, rows=12, seeds=seeds)]
        spreads = [each for row in rows if (each := take_apart(row)) is not None]
        noise = fit_noise(np.array([each.seed_variance for each in spreads]), np.full(12, seeds - 1.0))
        pairs = [subtract(one, other) for one, other in zip(rows[::2], rows[1::2], strict=True)]
        known = [each for each in pairs if each is not None]
        estimates = estimate_all(known, noise, key=str(board), num_resamples=400)
        covered.append(share_covering([(each.low, each.high) for each in estimates]))
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_plain_percentile_bootstrap_would_be_too_narrow(seeds: int) -> None:
    rng, edges = np.random.default_rng(9), []
    for values in world(rng, "training noise leads", rows=300, seeds=seeds):
        picked = rng.integers(0, seeds, (300, seeds))
        counts = rng.multinomial(80, np.full(80, 1 / 80), size=300)
        means = np.einsum("bi,bi->b", values[picked].mean(axis=1), counts) / 80
        edges.append(tuple(np.quantile(means, [0.025, 0.975])))
    assert share_covering(edges) < 0.91


@pytest.mark.parametrize(
    ("name", "seeds"), [(name, seeds) for name in WORLDS for seeds in (3, 5)] + [("nothing but rest", 1)]
)
def test_differences_between_equal_rows_are_covered_and_rarely_significant(name: str, seeds: int) -> None:
    rng = np.random.default_rng(10)
    shared = rng.normal(0, 2, 80)
    first, second = (world(rng, name, rows=1500, seeds=seeds) + shared for _ in range(2))
    spreads = [subtract(grid(a), grid(b)) for a, b in zip(first, second, strict=True)]
    estimates = estimate_all([each for each in spreads if each is not None], None, key=name, num_resamples=1000)
    # Behrens-Fisher intervals are too wide where both parts are alike and nothing but three seeds tells of one of them.
    most = 0.98 if (name, seeds) == ("both matter", 3) else 0.97
    assert 0.93 <= share_covering([(each.low, each.high) for each in estimates]) <= most
    assert 0.02 <= np.mean(p_values(spreads, None) <= 0.05) <= 0.08


def test_common_seeds_are_paired_and_a_still_row_goes_with_every_seed() -> None:
    first, second = grid([[1.0, 2.0], [3.0, 5.0]], seeds=(0, 4)), grid([[9.0, 9.0], [1.0, 1.0]], seeds=(7, 4))
    paired = subtract(first, second)
    assert paired is not None
    assert (paired.mean, paired.num_seeds, paired.num_noisy) == (3.0, 1, 2)
    against_base = subtract(first, grid([[1.0, 1.0]], still=True))
    assert against_base is not None
    assert (against_base.mean, against_base.num_seeds, against_base.num_noisy) == (1.75, 2, 1)


def test_rows_without_a_common_seed_are_compared_all_the_same() -> None:
    difference = subtract(grid([[1.0, 2.0], [1.0, 2.0]], seeds=(0, 1)), grid([[0.0, 0.0]], seeds=(5,)))
    assert difference is not None
    assert (difference.mean, difference.num_seeds) == (1.5, 1)


def test_rows_without_a_common_item_are_never_told_apart() -> None:
    difference = subtract(grid([[1.0, 1.0, np.nan, np.nan]]), grid([[np.nan, np.nan, 0.0, 0.0]]))
    assert difference is None
    assert p_values([difference], None)[0] == 1.0


def test_three_items_that_agree_are_no_proof() -> None:
    few, many = np.zeros(100), np.ones(100)
    few[:3] = 1.0
    p = p_values([subtract(grid(few), grid(np.zeros(100))), subtract(grid(many), grid(np.zeros(100)))], None)
    assert p[0] >= 0.25
    assert p[1] < 1e-20


NUMBERS = np.array([[0.4], [0.5], [0.9]])


def numbers(values: npt.ArrayLike, *, still: bool = False) -> Grid:
    array = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    return Grid(seeds=tuple(range(len(array))), values=array, still=still, whole=True)


def spread_of(row: Grid) -> Spread:
    found = take_apart(row)
    assert found is not None
    return found


def test_a_number_per_seed_has_students_interval_whatever_other_rows_say_of_noise() -> None:
    noise = TrainingNoise(variance=1e-6, freedom=100.0, limit=100.0)
    half = stats.t.ppf(0.975, 2) * NUMBERS.std(ddof=1) / np.sqrt(3)
    for known in (None, noise):
        (estimate,) = estimate_all([spread_of(numbers(NUMBERS))], known, key="x")
        assert (estimate.low, estimate.high) == pytest.approx((0.6 - half, 0.6 + half))
        assert (estimate.num_seeds, estimate.num_items, estimate.num_failed_items) == (3, 0, 0)


def test_it_is_wider_than_the_interval_of_the_same_row_with_items_on_a_board_that_knows_its_noise() -> None:
    rng, wider = np.random.default_rng(13), []
    for board in range(40):
        values = world(rng, "both matter", rows=12, seeds=3)
        spreads = [apart(each) for each in values]
        noise = fit_noise(np.array([each.seed_variance for each in spreads]), np.full(12, 2.0))
        means = [spread_of(numbers(each.mean(axis=1))) for each in values]
        widths = [
            np.mean([each.high - each.low for each in estimate_all(found, noise, key=str(board), num_resamples=400)])
            for found in (means, spreads)
        ]
        wider.append(widths[0] > widths[1])
    assert np.mean(wider) > 0.9


@pytest.mark.parametrize("values", [[0.4], [0.4, 0.4, 0.4], [0.4, np.nan]])
def test_one_number_and_numbers_that_agree_tell_no_interval_and_no_difference(values: list[float]) -> None:
    row, other = numbers(values), numbers(np.asarray(values) - 0.3)
    (estimate,) = estimate_all([spread_of(row)], None, key="x")
    assert (estimate.mean, estimate.low, estimate.high) == (pytest.approx(0.4), None, None)
    assert estimate.num_failed_items == np.isnan(values).sum()
    assert p_values([subtract(row, other)], None)[0] == 1.0


def test_numbers_are_compared_seed_by_seed_with_students_test() -> None:
    other = np.array([[0.1], [0.3], [0.55]])
    difference = subtract(numbers(NUMBERS), numbers(other))
    expected = stats.ttest_rel(NUMBERS[:, 0], other[:, 0]).pvalue
    assert p_values([difference], None)[0] == pytest.approx(expected, rel=1e-5)
    against_base = subtract(numbers(NUMBERS), numbers([0.1], still=True))
    expected = stats.ttest_1samp(NUMBERS[:, 0], 0.1).pvalue
    assert p_values([against_base], None)[0] == pytest.approx(expected, rel=1e-5)


def test_intervals_of_numbers_hold_the_truth_95_times_in_100() -> None:
    rng = np.random.default_rng(14)
    rows = [spread_of(numbers(rng.normal(0, 0.2, 3))) for _ in range(3000)]
    estimates = estimate_all(rows, None, key="x")
    assert 0.93 <= share_covering([(each.low, each.high) for each in estimates]) <= 0.97


def test_comparisons_elsewhere_are_of_the_same_family() -> None:
    here, there = np.array([0.01, 0.03]), np.array([0.001, 0.9])
    assert passing(here, np.zeros(0)).tolist() == [True, True]
    assert passing(here, there).tolist() == [True, False]
    assert passing(here, there).tolist() == (holm([*here, *there])[:2] <= 0.05).tolist()


def test_holm_agrees_with_its_definition() -> None:
    p = np.random.default_rng(11).uniform(0, 0.2, 12)
    ranked = sorted(p)
    expected = [min(1.0, max((12 - j) * ranked[j] for j in range(ranked.index(each) + 1))) for each in p]
    assert holm(p) == pytest.approx(expected)
    assert holm([]).shape == (0,)
