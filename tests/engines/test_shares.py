"""The one rule by which the best tokens are kept, against sorting written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench.engines.shares import largest_share

VALUES = st.lists(st.sampled_from([-1.5, 0.0, 0.5, 0.5, 2.0, float("nan"), float("inf"), float("-inf")]), max_size=40)


@given(VALUES, st.floats(0.01, 1.0), st.integers(0, 2))
def test_the_best_are_kept_and_of_equals_the_earlier(values: list[float], share: float, at_least: int) -> None:
    finite = [at for at, value in enumerate(values) if np.isfinite(value)]
    wanted = min(len(finite), max(at_least, int(share * len(finite))))
    expected = sorted(sorted(finite, key=lambda at: (-values[at], at))[:wanted])
    assert np.flatnonzero(largest_share(np.array(values), share, at_least=at_least)).tolist() == expected


@given(VALUES, st.data())
def test_what_is_not_among_the_candidates_neither_counts_nor_is_kept(values: list[float], data: st.DataObject) -> None:
    among = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), dtype=bool)
    kept = largest_share(np.array(values), 0.6, among=among)
    alone = largest_share(np.array(values)[among], 0.6)
    assert np.array_equal(kept[among], alone)
    assert not kept[~among].any()


def test_all_equal_values_keep_exactly_their_share_from_the_front() -> None:
    assert largest_share(np.zeros(50), 0.6).tolist() == [True] * 30 + [False] * 20


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (2, 1), (5, 3), (10, 6)])
def test_shares_are_rounded_down(count: int, expected: int) -> None:
    assert largest_share(np.arange(count, dtype=float), 0.6).sum() == expected
