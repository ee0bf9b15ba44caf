"""The selector as a run calls it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sftbench import Allowance, Ragged, Scores, UsageError
from sftbench_plugins import instag
from sftbench_plugins.instag.selector import Instag


class Pool:
    def __init__(self, count: int) -> None:
        self.ids = [f"row-{index}" for index in range(count)]

    def __len__(self) -> int:
        return len(self.ids)


class Desk:
    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens

    def training_tokens(self) -> np.ndarray:
        return np.array(self.tokens)


def tagged(tags) -> Scores:
    """As the scorer leaves them: repeated after merging, empty where dropped."""
    lists = [np.array(list(row), dtype=object) for row in tags]
    return Scores(
        values=np.array([len(row) for row in tags], dtype=float), columns={"tags": Ragged.of(lists, dtype=object)}
    )


@pytest.fixture
def select() -> Callable:
    def choose(tags, num_rows, *, costs=None, untrainable=(), **parameters):
        count = len(tags)
        costs = np.ones(count) if costs is None else np.array(costs, dtype=float)
        allowance = Allowance(cap=float(num_rows), row_costs=costs, unit="rows")
        desk = Desk([0 if row in untrainable else 5 for row in range(count)])
        selection = Instag(**parameters).select(Pool(count), tagged(tags), allowance, desk)
        return [int(row_id.removeprefix("row-")) for row_id in selection.ids], selection

    return choose


TAGS = ["ab", "abc", "", "c", "ad", "abc", "e"]


def test_the_order_is_that_of_the_algorithm_with_numbers_of_tags_as_scores(select):
    rows, selection = select(TAGS, 4)
    assert rows == [1, 4, 6, 5]
    assert selection.scores.tolist() == [3, 2, 1, 3]
    assert selection.report["coverage"] == 1
    assert selection.report["taken_per_pass"] == [3, 1]
    assert selection.status == "full"


def test_tags_that_were_merged_count_once_and_dropped_ones_not_at_all(select):
    rows, selection = select([["a", "a", ""], ["", ""], ["a", "b"]], 2)
    assert rows == [2, 0]
    assert selection.scores.tolist() == [2, 1]


def test_more_rows_than_have_tags_are_topped_up_or_left(select):
    tags = [f"{row:x}" for row in range(10)] + [""] * 5
    rows, selection = select(tags, 12)
    assert rows == list(range(12))
    assert selection.report["num_topped_up"] == 2
    assert selection.status == "full"
    rows, selection = select(tags, 12, top_up=False)
    assert rows == list(range(10))
    assert selection.status == "short"


def test_rows_that_leave_nothing_to_train_on_are_left_out(select):
    rows, selection = select(TAGS, 7, untrainable=(1, 2))
    assert rows == [5, 4, 6, 0, 3]
    assert selection.status == "short"
    assert selection.report["num_rows"] == {"with_tags": 5, "without_tags": 0, "nothing_to_train": 2}


def test_a_budget_in_tokens_ends_where_the_next_row_does_not_fit(select):
    rows, _ = select(TAGS, 7.5, costs=[2, 3, 1, 1, 4, 1, 1])
    assert rows == [1, 4]


def test_scores_without_tags_are_refused_with_the_way_out():
    with pytest.raises(UsageError, match="scorer 'tags'"):
        Instag().select(Pool(2), None, Allowance(cap=1, row_costs=np.ones(2), unit="rows"), Desk([1, 1]))


def test_both_methods_share_one_tagging():
    methods = {method.name: method for method in instag.sftbench_methods()}
    assert methods["instag"].scorer == methods["instag_count"].scorer
