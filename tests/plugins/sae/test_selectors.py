"""The selectors as a run calls them."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench import Allowance, Ragged, Scores, UsageError
from sftbench_plugins.sae.selectors import SaeGreedy, SaeSimscale

FEATURES = [{0, 1, 2}, {0, 1}, set(), {3}, {4, 5}, {0, 1, 2}, {2, 3, 6, 7}]


class Pool:
    def __init__(self, count):
        self.ids = [f"row-{index}" for index in range(count)]

    def __len__(self):
        return len(self.ids)


class Desk:
    seed = 0

    def __init__(self, lengths):
        self.lengths = np.array(lengths)

    def training_tokens(self):
        return self.lengths

    def response_lengths(self):
        return self.lengths


def chosen(part, num_rows, *, features=FEATURES, nan=(), lengths=None, costs=None, seed=0):
    count = len(features)
    lists = Ragged.of([np.array(sorted(row)) for row in features], dtype=np.int32)
    values = np.array([np.nan if row in nan else len(each) for row, each in enumerate(features)])
    scores = Scores(values=values, reasons=dict.fromkeys(nan, "empty_response"), columns={"features": lists})
    allowance = Allowance(
        cap=float(num_rows), row_costs=np.ones(count) if costs is None else np.array(costs, dtype=float), unit="rows"
    )
    desk = Desk([5] * count if lengths is None else lengths)
    desk.seed = seed
    selection = part.select(Pool(count), scores, allowance, desk)
    return [int(row_id.removeprefix("row-")) for row_id in selection.ids], selection


def test_greedy_takes_what_adds_most_and_its_scores_are_what_each_adds():
    rows, selection = chosen(SaeGreedy(), 3)
    assert rows == [6, 0, 4]
    assert selection.scores.tolist() == [4, 2, 2]
    assert selection.report["coverage"] == 1
    assert selection.status == "full"


def test_after_a_reset_greedy_goes_on_and_rows_without_features_come_last():
    rows, selection = chosen(SaeGreedy(), 7)
    # 6, 0, 4 cover all; then 5 and 3 of those left, then 1, then the row without features.
    assert rows == [6, 0, 4, 5, 3, 1, 2]
    assert selection.report["num_resets"] == 2
    assert selection.scores.tolist() == [4, 2, 2, 3, 1, 2, 0]


def test_greedy_may_stop_or_go_on_with_simscale():
    rows, selection = chosen(SaeGreedy(reset="stop"), 7)
    assert (rows, selection.status) == ([6, 0, 4], "short")
    rows, _ = chosen(SaeGreedy(reset="simscale", rho=0.6), 7)
    assert rows == [6, 0, 4, 5, 3, 1, 2]


def test_simscale_goes_by_number_of_features_length_or_lot():
    assert chosen(SaeSimscale(), 7)[0] == [6, 0, 4, 5, 3, 1, 2]
    lengths = [1, 7, 1, 2, 3, 4, 5]
    # 1 is longest, 6 mostly new, 5 has two of three known, 4, 3 known, 0 known.
    assert chosen(SaeSimscale(order="length", rho=0.6), 4, lengths=lengths)[0] == [1, 6, 4, 5]
    by_lot = {tuple(chosen(SaeSimscale(order="random"), 7, seed=seed)[0]) for seed in range(6)}
    assert len(by_lot) > 3
    assert chosen(SaeSimscale(order="random"), 7, seed=1)[0] == chosen(SaeSimscale(order="random"), 7, seed=1)[0]


def test_simscale_may_stop():
    rows, selection = chosen(SaeSimscale(reset="stop"), 7)
    assert (rows, selection.status) == ([6, 0, 4], "short")


@pytest.mark.parametrize("part", [SaeGreedy(), SaeSimscale()])
def test_rows_without_a_score_or_anything_to_train_are_left_out(part):
    rows, selection = chosen(part, 7, nan=(6,), lengths=[5, 5, 5, 0, 5, 5, 5])
    assert sorted(rows) == [0, 1, 2, 4, 5]
    assert selection.status == "short"
    assert selection.report["num_rows"] == {"eligible": 5, "no_features": 1, "unscored": 1, "nothing_to_train": 1}


@pytest.mark.parametrize("part", [SaeGreedy(), SaeSimscale()])
def test_a_budget_in_tokens_ends_where_the_next_row_does_not_fit(part):
    assert chosen(part, 6, costs=[1, 1, 1, 1, 2, 1, 4])[0] == [6, 0]


@pytest.mark.parametrize("part", [SaeGreedy(), SaeSimscale()])
def test_scores_of_another_scorer_are_refused_with_the_way_out(part):
    with pytest.raises(UsageError, match="scorer 'sae-features'"):
        part.select(Pool(2), None, Allowance(cap=1, row_costs=np.ones(2), unit="rows"), Desk([1, 1]))


@pytest.mark.parametrize("rho", [0.0, 1.5])
def test_a_bound_that_means_nothing_is_refused(rho):
    for part in (SaeGreedy, SaeSimscale):
        with pytest.raises(ValueError, match="rho"):
            part(rho=rho)
