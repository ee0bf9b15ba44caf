"""Rows that lie close, a block at a time, against all cosines at once."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench.contamination.nearest import close_rows, in_blocks


def vectors(count, width=6, seed=0):
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("threshold", [-1.0, 0.6, 0.9, 1.1])
def test_blocks_find_what_all_cosines_at_once_show(size, threshold):
    items, pool = vectors(30), vectors(200, seed=1)
    pool[150] = items[4]
    close = close_rows(items, in_blocks(pool, size), threshold=threshold)
    every = items.astype(np.float64) @ pool.T.astype(np.float64)
    assert close.nearest.tolist() == every.argmax(axis=1).tolist()
    np.testing.assert_allclose(close.nearest_cosines, every.max(axis=1), atol=1e-6)
    expected = np.argwhere(every >= threshold)
    assert np.column_stack([close.items, close.rows]).tolist() == expected.tolist()
    np.testing.assert_allclose(close.cosines, every[tuple(expected.T)], atol=1e-6)


def test_the_closest_rows_of_each_item_are_kept():
    items, pool = vectors(3), vectors(5000, seed=1)
    close = close_rows(items, in_blocks(pool, 100), threshold=-1.0, most_rows=10)
    every = items @ pool.T
    for item in range(3):
        expected = np.sort(np.argsort(-every[item])[:10])
        assert close.rows[close.items == item].tolist() == expected.tolist()


def test_no_rows_leave_items_without_a_nearest():
    close = close_rows(vectors(4), [], threshold=0.5)
    assert close.nearest.tolist() == [-1] * 4
    assert np.isnan(close.nearest_cosines).all()
    assert len(close.items) == 0
