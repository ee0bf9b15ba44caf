"""The selector `car`: what it takes with given scores and vectors, within any budget, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

import sftbench_plugins.quality as plugin
from sftbench import Scores, UsageError
from sftbench_plugins.quality.car import Car


class Choice:
    """Rows with vectors and scores, and what the selector makes of them."""

    def __init__(self, make_desk, rows_allowed, vectors, values, rows=None):
        self.vectors, self.values = np.asarray(vectors, dtype=np.float32), np.asarray(values, dtype=float)
        self.desk = make_desk(rows or [(f"ask {at}", f"tell {at}") for at in range(len(self.values))])
        self.desk.vectors, self.texts, self.rows_allowed = self.vectors, [], rows_allowed
        self.desk.embeds = self.embed

    def embed(self, texts):
        start = len(self.texts)
        self.texts += texts
        return self.vectors[start : start + len(texts)]

    def select(self, cap, *, costs=None, **parameters):
        allowance = self.rows_allowed(self.desk.pool, cap, costs)
        return Car(**parameters).select(self.desk.pool, Scores(values=self.values), allowance, self.desk)


@pytest.fixture
def choice(make_desk, rows_allowed):
    return lambda vectors, values, rows=None: Choice(make_desk, rows_allowed, vectors, values, rows)


def groups(*sizes):
    """Directions that are clusters of these sizes without doubt."""
    return np.repeat(np.eye(len(sizes), 6), sizes, axis=0)


def test_it_takes_the_best_rows_and_the_best_of_every_cluster(choice):
    values = [9, 8, 7, 6, 5, 2, 3, 1]
    found = choice(groups(5, 2, 1), values).select(5, k=3)
    # r6 and r7 represent the two clusters that no row by score is of; their numbers say in which order.
    assert found.ids[:3] == ("r0", "r1", "r2")
    assert set(found.ids[3:]) == {"r6", "r7"}
    assert found.status == "full"
    assert found.scores.tolist() == [values[int(row_id[1:])] for row_id in found.ids]
    assert {name: found.report[name] for name in ("num_by_score", "num_from_clusters", "num_clusters_covered")} == {
        "num_by_score": 3, "num_from_clusters": 2, "num_clusters_covered": 3,
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["paper", "official"])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_budget_a_selection_keeps_it_and_repeats_no_row(choice, mode, seed):
    draw = np.random.default_rng(seed)
    vectors, values, costs = draw.normal(size=(50, 6)), draw.normal(size=50), draw.integers(1, 20, 50)
    given = choice(vectors, values)
    for cap in (1, 30, 120, int(costs.sum()), 5000):
        given.texts.clear()
        found = given.select(cap, costs=costs, mode=mode)
        rows = [int(row_id[1:]) for row_id in found.ids]
        assert len(rows) == len(set(rows))
        assert costs[rows].sum() <= cap
        assert found.report["num_by_score"] + found.report["num_from_clusters"] == len(rows)
        by_score = rows[: found.report["num_by_score"]]
        assert all(values[row] >= np.delete(values, by_score).max(initial=-np.inf) for row in by_score)


def test_with_room_for_it_every_cluster_is_covered(choice):
    draw = np.random.default_rng(0)
    found = choice(draw.normal(size=(80, 6)), draw.normal(size=80)).select(20, k=12)
    assert found.report["num_clusters"] == found.report["num_clusters_covered"] == 12
    assert len(found.ids) == 20


def test_a_budget_below_the_number_of_clusters_has_the_best_representatives(choice):
    found = choice(groups(2, 2, 2), [1, 2, 9, 8, 5, 6]).select(2, k=3)
    assert set(found.ids) == {"r2", "r5"}
    assert (found.report["num_by_score"], found.report["num_clusters_covered"]) == (0, 2)


def test_n1_and_n2_are_kept_whatever_the_budget_leaves(choice):
    given = choice(groups(4, 4), [8, 7, 6, 5, 4, 3, 2, 1])
    found = given.select(8, k=2, n1=2, n2=2)
    assert found.ids[:2] == ("r0", "r1")
    assert set(found.ids[2:]) == {"r4", "r5"}
    assert found.status == "short"
    assert given.select(4, k=2, n1=2, n2=2).status == "full"


def test_a_pool_below_the_budget_is_taken_whole(choice):
    assert set(choice(groups(2, 1), [1.0, 2.0, 3.0]).select(9).ids) == {"r0", "r1", "r2"}


def test_fewer_eligible_rows_than_the_budget_are_taken_and_are_short(choice):
    found = choice(groups(2, 1), [1.0, np.nan, 3.0]).select(3)
    assert set(found.ids) == {"r0", "r2"}
    assert found.status == "short"


def test_rows_that_equal_each_other_are_no_trouble(choice):
    found = choice(np.ones((6, 3)), [1.0] * 6).select(4)
    assert found.ids == ("r0", "r1", "r2", "r3")
    assert found.report["num_clusters"] == 1


def test_rows_that_cannot_be_chosen_are_left_out_with_the_reason_and_move_nothing(choice):
    draw = np.random.default_rng(3)
    vectors, values = draw.normal(size=(40, 6)).astype(np.float32), draw.normal(size=40)
    clean = choice(vectors[5:], values[5:]).select(12)
    vectors[0], vectors[1], vectors[2, 3], values[3] = np.nan, 0, np.inf, np.nan
    values[:3] = 99
    given = choice(vectors, values)
    given.desk.tokens = np.arange(40) != 4
    values[4] = 98
    found = given.select(12)
    assert [int(row_id[1:]) - 5 for row_id in found.ids] == [int(row_id[1:]) for row_id in clean.ids]
    assert found.report["reasons"] == {"non_finite": 2, "zero_norm": 1, "no_score": 1, "nothing_to_train": 1}
    assert found.report["num_eligible"] == 35


def test_where_no_row_is_eligible_none_is_chosen(choice):
    found = choice(groups(3), [np.nan] * 3).select(2)
    assert (found.ids, found.status) == ((), "short")


def test_rows_with_one_id_are_refused_when_the_pool_is_read(make_pool):
    with pytest.raises(UsageError, match="twice"):
        make_pool([{"id": "twice", "instruction": "a", "output": "b"}] * 2)


def test_without_scores_it_says_which_scorer_it_belongs_to(make_desk, rows_allowed):
    desk = make_desk([("ask", "tell")])
    with pytest.raises(UsageError, match="has the scorer 'quality'"):
        Car().select(desk.pool, None, rows_allowed(desk.pool, 1), desk)


def test_paper_mode_shares_embeddings_and_official_mode_embeds_the_authors_text(choice):
    assert Car().needs().embeddings == ("both",)
    for part in (Car(mode="official"), Car(turns="last")):
        assert part.needs().embedder
        assert not part.needs().embeddings
    rows = [{"id": f"r{at}", "instruction": "Translate", "input": f"Hund {at}", "output": "dog"} for at in range(4)]
    given = choice(groups(2, 2), [4, 3, 2, 1], rows)
    given.select(2, mode="official")
    assert given.texts[1] == "Instruction: Translate Input: Hund 1 Response: dog"
    talk = choice(groups(2), [2, 1], [("a", "b", "c", "d"), ("e", "f", "g", "h")])
    talk.select(1, turns="last")
    assert talk.texts == ["Instruction: c Input:  Response: d", "Instruction: g Input:  Response: h"]


def test_official_mode_leaves_out_a_representative_that_says_what_a_row_before_it_says(choice):
    rows = [("a", "b"), ("c", "d"), ("e", "f"), ("e", "f")]
    given = choice(groups(2, 2), [9, 8, 7, 6], rows)
    assert set(given.select(4, k=2, n1=1, n2=2, mode="official").ids) == {"r0", "r1", "r2"}
    assert set(given.select(4, k=2, n1=1, n2=2).ids) == {"r0", "r1", "r2", "r3"}


def test_the_order_of_clustering_is_a_choice(choice, monkeypatch):
    seen = []

    def cluster(vectors, **settings):
        from sftbench_plugins.quality.clusters import Clusters

        seen.append(vectors[:, 0].tolist())
        return Clusters(labels=np.arange(len(vectors)), num_components=1, flops=5.0)

    monkeypatch.setattr("sftbench_plugins.quality.clusters.cluster", cluster)
    vectors = np.arange(1.0, 4.0)[:, None]
    for parameters in ({}, {"mode": "official"}, {"clustered": "score"}, {"mode": "official", "clustered": "pool"}):
        given = choice(vectors, [5.0, 9.0, 7.0])
        found = given.select(3, n1=0, **parameters)
        in_order = [[1.0, 2.0, 3.0], [2.0, 3.0, 1.0]]["score" in str(parameters) or parameters == {"mode": "official"}]
        assert seen[-1] == in_order
        # The last row that was clustered has the greatest number, and so comes first.
        assert found.ids == tuple(f"r{int(number) - 1}" for number in reversed(in_order))
        assert given.desk.spent == {"flops": 5.0}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n1": -1}, "n1 is at least 0"),
        ({"n2": -1}, "n2 is at least 0"),
        ({"k": 0}, "k is at least 1"),
        ({"random_state": -1}, "random_state is at least 0"),
        ({"n1": 0, "n2": 0}, "nothing is taken"),
        ({"variance": 1.0}, "between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Car(**parameters)


def test_the_method_ranks_by_the_text_that_the_authors_show_their_model():
    car = next(each for each in plugin.sftbench_methods() if each.name == "car")
    assert car.scorer.parameters == {"form": "labelled", "turns": "all", "overlong": "truncate"}
    assert car.fidelity == {"official": "exact", "paper": "reconstruction"}
