"""What CaR takes, against a plain reading of the rule on small random cases, and the order of the authors' code."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench_plugins.quality.mixing import Mix, mixed


def given(values, labels, *, costs=None, cap=np.inf):
    costs = np.ones(len(values)) if costs is None else np.asarray(costs, dtype=float)
    return Mix(values=np.asarray(values, dtype=float), labels=np.asarray(labels), costs=costs, cap=cap)


def take(mix, num_top=None, *, num_each=1, texts=None):
    return mixed(mix, num_top=num_top, num_each=num_each, texts=texts)


def by_score(values):
    return sorted(range(len(values)), key=lambda row: (-values[row], row))


def plainly(values, labels, num_top, num_each, *, key=lambda label: label):
    """The top rows, then of each cluster (falling) its best rows that are not among them."""
    ranked = by_score(values)
    order = ranked[:num_top]
    for label in sorted(set(labels.tolist()), key=key, reverse=True):
        order += [row for row in [row for row in ranked if labels[row] == label][:num_each] if row not in order]
    return order


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_each", [0, 1, 3])
def test_the_rows_are_those_of_a_plain_reading(seed, num_each):
    draw = np.random.default_rng(seed)
    values, labels = draw.integers(0, 12, 40).astype(float), draw.integers(0, 15, 40)
    for num_top in (0, 1, 10, 40, 99):
        found = take(given(values, labels), num_top, num_each=num_each)
        assert found.order.tolist() == plainly(values, labels, num_top, num_each)
        assert found.num_by_score == min(num_top, 40)
        texts = list(range(40))
        as_text = take(given(values, labels), num_top, num_each=num_each, texts=texts)
        assert as_text.order.tolist() == plainly(values, labels, num_top, num_each, key=str)


def test_clusters_come_by_falling_number_and_in_the_authors_code_by_falling_text():
    labels = np.array([0, 2, 9, 10, 11, 100])
    mix = given([5.0] * 6, labels)
    assert labels[take(mix, 0).order].tolist() == [100, 11, 10, 9, 2, 0]
    assert labels[take(mix, 0, texts=list("abcdef")).order].tolist() == [9, 2, 11, 100, 10, 0]


@pytest.mark.parametrize("seed", range(8))
def test_without_a_number_rows_by_score_fill_what_representatives_leave(seed):
    """The largest number of rows by score with which everything fits, found by trying all."""
    draw = np.random.default_rng(seed)
    values, labels, costs = draw.normal(size=30), draw.integers(0, 6, 30), draw.integers(1, 9, 30).astype(float)
    for cap in (25.0, 60.0, 100.0, 1000.0):
        fitting = [number for number in range(31) if costs[plainly(values, labels, number, 1)].sum() <= cap]
        found = take(given(values, labels, costs=costs, cap=cap))
        if not fitting:
            # Not even the representatives fit: the best of them do.
            ranked = [row for row in by_score(values) if row in plainly(values, labels, 0, 1)]
            room = int((np.cumsum(costs[ranked]) <= cap).sum())
            assert set(found.order.tolist()) == set(ranked[:room])
            assert found.num_by_score == 0
            continue
        assert found.num_by_score == max(fitting)
        assert found.order.tolist() == plainly(values, labels, max(fitting), 1)


def test_a_representative_that_repeats_a_row_before_it_is_left_out_in_the_authors_code():
    values, labels = [9.0, 8.0, 7.0, 6.0], [0, 0, 1, 1]
    texts = ["a", "b", "c", "c"]
    found = take(given(values, labels), 1, num_each=2, texts=texts)
    assert found.order.tolist() == [0, 2, 1]
    assert found.num_repeats == 1
    # By ids no row repeats another.
    assert take(given(values, labels), 1, num_each=2).order.tolist() == [0, 2, 3, 1]


def test_what_repeats_leave_free_goes_to_rows_by_score():
    values, labels = [9.0, 8.0, 7.0, 6.0, 5.0], [0, 0, 0, 1, 1]
    texts = ["a", "b", "c", "d", "d"]
    found = take(given(values, labels, cap=5), num_each=2, texts=texts)
    # Rows 0, 1, 3, 4 represent; 4 repeats 3 and goes, so that 2 fits, and then 4 itself by score.
    assert sorted(found.order.tolist()) == [0, 1, 2, 3, 4]
    assert found.num_by_score == 5
    assert take(given(values, labels, cap=4), num_each=2, texts=texts).order.tolist() == [0, 1, 2, 3]


def test_repeats_among_the_top_rows_stay_as_they_do_for_the_authors():
    found = take(given([3.0, 2.0, 1.0], [0, 0, 1]), 2, texts=["a", "a", "b"])
    assert found.order.tolist() == [0, 1, 2]
    assert found.num_repeats == 0


def test_no_rows_give_no_rows():
    assert take(given([], np.empty(0, dtype=np.int64), cap=5)).order.tolist() == []
