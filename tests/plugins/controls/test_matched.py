"""What is to be equal is equal, by counting it again; the rest is chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sftbench import Allowance, Pool, Ragged, Selection, UsageError
from sftbench_plugins.controls.matched import MatchedRandom, closest_total, same_lengths

MakePool = Callable[..., Pool]
NUM_ROWS = 200


def rows(cap: int, of: int = NUM_ROWS) -> Allowance:
    return Allowance(cap=float(cap), row_costs=np.ones(of), unit="rows")


def selection_of(positions: npt.NDArray[np.int64], labels: Ragged | None = None) -> Selection:
    return Selection(ids=tuple(f"r{at}" for at in positions), token_labels=labels)


def positions_of(selection: Selection) -> npt.NDArray[np.int64]:
    return np.array([int(row_id[1:]) for row_id in selection.ids])


@given(st.integers(1, 120), st.integers(0, 2**32 - 1), st.data())
def test_each_tenth_of_the_ranking_by_length_gives_as_many_rows(count: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 30, count)
    other = rng.permutation(count)[: data.draw(st.integers(1, count))]
    chosen = same_lengths(rng.permutation(count), lengths, other)
    by_length = sorted(range(count), key=lambda at: (lengths[at], at))
    for tenth in range(10):
        band = {at for rank, at in enumerate(by_length) if rank * 10 // count == tenth}
        assert sum(at in band for at in chosen.tolist()) == sum(at in band for at in other.tolist())
    assert len(set(chosen.tolist())) == len(chosen) == len(other)


def test_lengths_match_closely_and_the_rows_are_other_rows(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    lengths = np.random.default_rng(0).lognormal(4, 1, NUM_ROWS).astype(np.int64)
    longest = np.argsort(-lengths)[:20]
    given = desk(lengths=lengths, other=selection_of(longest), seed=1)
    chosen = MatchedRandom().select(make_pool(["a"] * NUM_ROWS), None, rows(20), given)
    assert sorted(positions_of(chosen)) == sorted(longest)  # the longest tenth has no other twenty rows
    middling = np.argsort(-lengths)[:120:3]
    given = desk(lengths=lengths, other=selection_of(middling), seed=1)
    chosen = MatchedRandom().select(make_pool(["a"] * NUM_ROWS), None, rows(40), given)
    assert chosen.report["mean_length"] == lengths[positions_of(chosen)].mean()
    assert abs(lengths[positions_of(chosen)].mean() / lengths[middling].mean() - 1) < 0.2
    assert chosen.report["num_shared"] == len(set(positions_of(chosen)) & set(middling)) < 35


def test_every_row_of_a_band_is_drawn_equally_often(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    pool, lengths = make_pool(["a"] * 20), np.arange(20)
    times = np.zeros(20)
    for seed in range(600):
        given = desk(lengths=lengths, other=selection_of(np.array([0, 10])), seed=seed)
        times[positions_of(MatchedRandom().select(pool, None, rows(2, 20), given))] += 1
    assert times.sum() == 1200
    assert set(np.flatnonzero(times)) == {0, 1, 10, 11}
    assert abs(times[[0, 10]] - 300).max() < 50


@given(arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 9)), st.integers(0, 60))
def test_no_other_beginning_comes_closer_to_the_total(costs: npt.NDArray[np.int64], target: int) -> None:
    order = np.arange(len(costs))[::-1].copy()
    chosen = closest_total(order, costs.astype(np.float64), float(target))
    totals = [sum(costs[order[:count]]) for count in range(1, len(costs) + 1)]
    assert chosen.tolist() == order[: len(chosen)].tolist()
    assert abs(totals[len(chosen) - 1] - target) == min(abs(total - target) for total in totals)


def test_tokens_come_within_half_a_row_of_the_other_selection(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    tokens = np.random.default_rng(0).integers(5, 50, NUM_ROWS)
    other = np.arange(30)
    given = desk(tokens=tokens, other=selection_of(other))
    chosen = MatchedRandom(match="tokens").select(make_pool(["a"] * NUM_ROWS), None, rows(NUM_ROWS), given)
    assert abs(tokens[positions_of(chosen)].sum() - tokens[other].sum()) <= 25


def test_masked_tokens_are_not_counted_as_trained(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    tokens, other = np.full(NUM_ROWS, 10), np.arange(6)
    labels = Ragged.of([np.array([0, 1, 2, 0, 0, 0, 0, 0, 0, 0])] * 6, dtype=np.uint8)
    given = desk(tokens=tokens, other=selection_of(other, labels))
    chosen = MatchedRandom(match="tokens").select(make_pool(["a"] * NUM_ROWS), None, rows(NUM_ROWS), given)
    assert chosen.report["total_of_other"] == 12
    assert len(chosen.ids) == 1


def test_compute_spent_on_choosing_buys_further_rows(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    flops, other = np.full(NUM_ROWS, 300.0), np.arange(10)
    cost = {"selecting_flops": 6000.0, "training_flops": 10 * 300.0}
    given = desk(flops=flops, other=selection_of(other), cost=cost)
    chosen = MatchedRandom(match="compute").select(make_pool(["a"] * NUM_ROWS), None, rows(NUM_ROWS), given)
    assert len(chosen.ids) == 10 + 6000 // 300


def test_compute_beyond_the_pool_takes_the_whole_pool(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    cost = {"selecting_flops": 1e9, "training_flops": 100.0}
    given = desk(flops=np.full(20, 100.0), other=selection_of(np.arange(1)), cost=cost)
    chosen = MatchedRandom(match="compute").select(make_pool(["a"] * 20), None, rows(20, 20), given)
    assert sorted(positions_of(chosen)) == list(range(20))


def test_generated_rows_cannot_be_matched(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    given = desk(lengths=np.ones(3), other=Selection(ids=("made-1",)))
    with pytest.raises(UsageError, match=r"made-1.*generates"):
        MatchedRandom().select(make_pool(["a"] * 3), None, rows(3, 3), given)
