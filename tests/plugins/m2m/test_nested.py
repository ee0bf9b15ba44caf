"""Whole topics are given up one after the other, and rows are shared out evenly among those that stay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sftbench_plugins.m2m.lengths import Limits
from sftbench_plugins.m2m.macro import one_hot
from sftbench_plugins.m2m.nested import descend_by_topic
from sftbench_plugins.m2m.series import Series

SIZES = (40, 25, 25, 9, 6, 4, 1)


def topics_of(sizes: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int64)


def limits_of(num_rows: int, wanted: float) -> Limits:
    return Limits.of(np.ones(num_rows), wanted, np.zeros(num_rows, dtype=np.int64))


def series_of(topics: npt.NDArray[np.int64], wanted: int, seed: int = 0) -> Series:
    limits, matrix = limits_of(len(topics), wanted), one_hot(topics)
    pruned = descend_by_topic(matrix, limits, seed=seed)
    return Series(matrix=matrix, limits=limits, pruned=pruned, uniformity="rarest", seed=seed)


def water_filling(sizes: list[int], wanted: int) -> list[int]:
    """The same number from every topic as far as it has so many, up to one; by giving out rows one at a time."""
    quotas = [0] * len(sizes)
    while sum(quotas) < wanted:
        open_ = [at for at, size in enumerate(sizes) if quotas[at] < size]
        quotas[min(open_, key=lambda at: quotas[at])] += 1
    return quotas


@pytest.mark.parametrize("wanted", [20, 41, 66, 100])
def test_as_few_topics_as_fill_the_budget_are_the_largest(wanted: int) -> None:
    topics = topics_of(SIZES)
    pruned = descend_by_topic(one_hot(topics), limits_of(len(topics), wanted), seed=3)
    fewest = next(count for count in range(1, 8) if sum(SIZES[:count]) >= wanted)
    left = pruned.rows(len(pruned.order))
    assert set(topics[left]) == set(range(fewest))
    assert pruned.types_after[-1] == fewest
    assert len(left) == sum(SIZES[:fewest])


def test_every_pool_is_whole_topics_and_a_part_of_the_one_before() -> None:
    topics = topics_of(SIZES)
    pruned = descend_by_topic(one_hot(topics), limits_of(len(topics), 20), seed=3)
    before: set[int] = set(range(len(topics)))
    for count in range(7, 0, -1):
        left = pruned.rows(pruned.position(count))
        kept = set(topics[left].tolist())
        assert len(kept) == count
        assert set(left.tolist()) <= before
        assert len(left) == sum(SIZES[topic] for topic in kept)
        before = set(left.tolist())


def test_which_topics_come_after_the_needed_ones_is_drawn_by_lot() -> None:
    topics, orders = topics_of(SIZES), set()
    for seed in range(30):
        pruned = descend_by_topic(one_hot(topics), limits_of(len(topics), 20), seed=seed)
        kept = set(topics[pruned.rows(pruned.position(2))].tolist())
        assert 0 in kept
        orders.add(frozenset(kept))
    assert len(orders) == 6


@pytest.mark.parametrize("level", [0.0, 50.0, 100.0])
@pytest.mark.parametrize("wanted", [20, 66])
def test_rows_are_shared_out_evenly(wanted: int, level: float) -> None:
    topics = topics_of(SIZES)
    series = series_of(topics, wanted)
    rows = series.at(level).rows
    counts = np.bincount(topics[rows], minlength=7)
    kept = np.flatnonzero(counts)
    assert len(kept) == series.types_at(level)
    expected = water_filling([SIZES[topic] for topic in kept], wanted)
    assert sorted(counts[kept]) == sorted(expected)
    assert len(set(rows.tolist())) == wanted


def test_a_budget_of_fewer_rows_than_topics_reaches_as_many_topics_as_rows() -> None:
    topics = topics_of((5,) * 12)
    series = series_of(topics, 8)
    assert series.most == 8
    assert [len(np.unique(topics[series.at(level).rows])) for level in (0.0, 50.0, 100.0)] == [2, 5, 8]


def test_every_stratum_of_lengths_stays_filled() -> None:
    topics = topics_of(SIZES)
    strata = np.where(np.arange(len(topics)) % 2 == 0, 0, 1)
    # Topic 0 lies in one stratum alone.
    strata[topics == 0] = 0
    limits = Limits.of(np.ones(len(topics)), 30, strata)
    pruned = descend_by_topic(one_hot(topics), limits, seed=0)
    left = pruned.rows(len(pruned.order))
    assert (np.bincount(strata[left], minlength=2) >= limits.room).all()
    assert pruned.types_after[-1] > 1


def test_rows_without_a_topic_are_filler_that_never_goes() -> None:
    topics = topics_of(SIZES)
    topics[topics == 0] = -1
    pruned = descend_by_topic(one_hot(topics), limits_of(len(topics), 50), seed=0)
    left = pruned.rows(len(pruned.order))
    assert set(np.flatnonzero(topics < 0).tolist()) <= set(left.tolist())
    assert pruned.types_after[0] == 6
    assert pruned.types_after[-1] == 1
