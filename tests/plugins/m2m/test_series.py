"""The axis from fewest to most types, and what is chosen along it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from sftbench_plugins.m2m.lengths import Limits, length_strata
from sftbench_plugins.m2m.prune import prune
from sftbench_plugins.m2m.report import entropy
from sftbench_plugins.m2m.series import Series

LEVELS = [0.0, 100 / 6, 200 / 6, 50.0, 400 / 6, 500 / 6, 100.0]


def series_of(matrix: csr_array, num_wanted: int, *, seed: int = 0, num_strata: int = 1) -> Series:
    num_rows = matrix.shape[0]
    strata = length_strata(np.diff(matrix.indptr).astype(np.int64), num_strata)
    limits = Limits.of(np.ones(num_rows), num_wanted, strata)
    return Series(matrix=matrix, limits=limits, pruned=prune(matrix, limits), uniformity="rarest", seed=seed)


@pytest.fixture(scope="module")
def series(matrix: csr_array) -> Series:
    return series_of(matrix, 900)


def test_every_level_has_as_many_rows_as_asked_for_and_exactly_the_types_of_its_pool(series: Series) -> None:
    for level in LEVELS:
        choice = series.at(level)
        position = series.pruned.position(series.types_at(level))
        pool = series.pruned.rows(position)
        assert len(set(choice.rows.tolist())) == 900
        assert set(choice.rows.tolist()) <= set(pool.tolist())
        assert choice.num_types == series.pruned.types_after[position]
        assert choice.num_types == len(np.unique(series.matrix[choice.rows].indices))


def test_types_and_entropy_rise_with_the_level(series: Series) -> None:
    choices = [series.at(level) for level in LEVELS]
    types = [choice.num_types for choice in choices]
    entropies = [entropy(choice.holders) for choice in choices]
    assert types == sorted(set(types))
    assert entropies == sorted(set(entropies))


def test_realised_levels_lie_where_they_were_wanted(series: Series) -> None:
    for level in LEVELS:
        assert series.percent_of(series.at(level).num_types) == pytest.approx(level, abs=1)


def test_the_least_diverse_set_is_less_and_the_most_diverse_more_diverse_than_chance(series: Series) -> None:
    rows = np.random.default_rng(0).permutation(series.matrix.shape[0])[:900]
    by_chance = len(np.unique(series.matrix[rows].indices))
    assert series.fewest < by_chance < series.most == series.matrix.shape[1]


def test_a_budget_too_small_to_cover_all_types_still_has_a_whole_axis(matrix: csr_array) -> None:
    small = series_of(matrix, 60)
    assert small.most < matrix.shape[1]
    types = [small.at(level).num_types for level in LEVELS]
    assert types[0] == small.fewest
    assert types[-1] == small.most
    for level, found in zip(LEVELS, types, strict=True):
        assert small.percent_of(found) == pytest.approx(level, abs=2)


def test_a_budget_as_large_as_the_pool_leaves_one_point(matrix: csr_array) -> None:
    whole = series_of(matrix, matrix.shape[0])
    assert whole.fewest == whole.most == matrix.shape[1]
    assert sorted(whole.at(0).rows.tolist()) == list(range(matrix.shape[0]))
    assert whole.percent_of(whole.most) == 100


def test_the_same_seed_gives_the_same_rows_at_every_level(matrix: csr_array, series: Series) -> None:
    again, other = series_of(matrix, 900), series_of(matrix, 900, seed=1)
    for level in (0.0, 50.0, 100.0):
        assert again.at(level).rows.tolist() == series.at(level).rows.tolist()
    assert set(other.at(100).rows.tolist()) != set(series.at(100).rows.tolist())


def test_matched_strata_have_the_same_share_at_every_level(matrix: csr_array) -> None:
    matched = series_of(matrix, 900, num_strata=10)
    counts = {
        tuple(np.bincount(matched.limits.strata[matched.at(level).rows]).tolist()) for level in (0.0, 50.0, 100.0)
    }
    assert counts == {tuple(matched.limits.room.astype(int).tolist())}
