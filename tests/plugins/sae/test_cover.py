"""Both ways of choosing against plain statements of them, and against the best possible cover."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from sftbench import Ragged
from sftbench_plugins.sae.cover import Progress, greedy_cover, unlike

NUM_LATENTS = 30


def drawn(seed, count=40, most=9):
    draw = np.random.default_rng(seed)
    return [set(draw.choice(NUM_LATENTS, draw.integers(0, most), replace=False).tolist()) for _ in range(count)]


def ragged(rows):
    return Ragged.of([np.array(sorted(row)) for row in rows], dtype=np.int32)


def plainly_greedy(rows, *, resets):
    """Look at every row every time."""
    waiting = [row for row in range(len(rows)) if rows[row]]
    covered, order, gains, num_resets = set(), [], [], 0
    while waiting:
        best = max(waiting, key=lambda row: (len(rows[row] - covered), len(rows[row]), -row))
        if not rows[best] - covered:
            if not resets:
                break
            covered, num_resets = set(), num_resets + 1
            continue
        order.append(best)
        gains.append(len(rows[best] - covered))
        covered |= rows[best]
        waiting.remove(best)
    return order, gains, num_resets


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("resets", [True, False])
def test_the_lazy_heap_gives_what_looking_at_every_row_gives(seed, resets):
    rows, progress = drawn(seed), Progress()
    order = list(greedy_cover(ragged(rows), np.arange(40), NUM_LATENTS, resets=resets, progress=progress))
    expected, gains, num_resets = plainly_greedy(rows, resets=resets)
    assert order == expected
    assert progress.gains == gains
    assert progress.num_resets == num_resets


@pytest.mark.parametrize("seed", range(15))
def test_greedy_covers_as_much_of_the_best_as_it_must(seed):
    rows = drawn(seed, count=11, most=12)
    for number in (2, 4):
        order = list(greedy_cover(ragged(rows), np.arange(11), NUM_LATENTS, resets=False, progress=Progress()))[:number]
        best = max(len(set().union(*(rows[row] for row in chosen))) for chosen in combinations(range(11), number))
        assert len(set().union(*(rows[row] for row in order))) >= (1 - 1 / np.e) * best


def test_only_the_rows_given_are_chosen():
    order = list(greedy_cover(ragged([{1}, {2}, {3}]), np.array([2, 0]), 5, resets=True, progress=Progress()))
    assert sorted(order) == [0, 2]


def test_equal_rows_wait_for_the_next_round():
    progress = Progress()
    order = list(greedy_cover(ragged([{1, 2}, {1, 2}, {3}]), np.arange(3), 5, resets=True, progress=progress))
    assert order == [0, 2, 1]
    assert progress.gains == [2, 1, 2]
    assert progress.num_resets == 1


def coverage_ratio(row, accepted):
    return len(row & set().union(*accepted)) / len(row) if accepted else 0.0


def max_jaccard(row, accepted):
    return max((len(row & other) / len(row | other) for other in accepted), default=0.0)


def plainly_unlike(rows, order, below, likeness, *, resets):
    waiting, chosen, num_resets = [row for row in order if rows[row]], [], 0
    while waiting:
        accepted, left = [], []
        for row in waiting:
            if likeness(rows[row], accepted) < below:
                accepted.append(rows[row])
                chosen.append(row)
            else:
                left.append(row)
        if not resets:
            break
        num_resets += bool(left)
        waiting = left
    return chosen, num_resets


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("below", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("likeness", [coverage_ratio, max_jaccard])
@pytest.mark.parametrize("resets", [True, False])
def test_rows_unlike_the_others_are_those_of_a_plain_loop(seed, below, likeness, resets):
    rows, progress = drawn(seed), Progress()
    order = np.random.default_rng(seed).permutation(40)
    chosen = list(
        unlike(
            ragged(rows), order, NUM_LATENTS, below=below, likeness=likeness.__name__, resets=resets, progress=progress
        )
    )
    assert (chosen, progress.num_resets) == plainly_unlike(rows, order.tolist(), below, likeness, resets=resets)
    assert len(progress.gains) == len(chosen)


def test_with_resets_every_row_with_features_comes_once():
    rows = drawn(3)
    for likeness in ("coverage_ratio", "max_jaccard"):
        chosen = list(
            unlike(
                ragged(rows), np.arange(40), NUM_LATENTS, below=0.5, likeness=likeness, resets=True, progress=Progress()
            )
        )
        assert sorted(chosen) == [row for row in range(40) if rows[row]]
