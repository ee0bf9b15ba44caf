"""The selector `facility-location`: similarity by mode, what it reports, and what it does with bad rows."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench import Scores
from sftbench_plugins.geometry.facility import FacilityLocation, distinct


def positions(selection):
    return [int(each[1:]) for each in selection.ids]


def greedy(similarity, count):
    """Plain greedy on a table of similarities; of equal gains the first."""
    covered, order = np.zeros(len(similarity)), []
    for _ in range(count):
        gain = np.maximum(0, similarity - covered[:, None]).sum(axis=0).round(9)
        gain[order] = -1
        order.append(int(np.argmax(gain)))
        covered = np.maximum(covered, similarity[:, order[-1]])
    return order, covered


@pytest.mark.parametrize(
    ("settings", "similarity"),
    [
        ({}, lambda apart, width: 2 - apart),
        ({"similarity": "cosine"}, lambda apart, width: 2 - apart**2 / 2),
        ({"mode": "official"}, lambda apart, width: np.exp(-apart / width)),
    ],
)
def test_the_rows_are_those_of_plain_greedy_on_the_similarity(
    make_pool, make_desk, make_vectors, allow, settings, similarity
):
    vectors = make_vectors(120)
    wide = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    table = similarity(np.linalg.norm(wide[:, None] - wide[None], axis=2), vectors.shape[1])
    pool, desk = make_pool(120), make_desk(vectors)
    found = FacilityLocation(**settings).select(pool, None, allow(pool, 15), desk)
    order, covered = greedy(table, 15)
    assert positions(found) == order
    assert found.report["mean_similarity"] == pytest.approx(covered.mean(), abs=1e-5)
    assert found.scores.sum() == pytest.approx(covered.sum(), rel=1e-5)
    assert (found.status, found.report["num_distinct"]) == ("full", 120)
    assert desk.asked == ["both"]
    assert desk.spent["flops"] > 0


def test_large_pools_are_covered_by_neighbours_and_the_report_says_so(make_pool, make_desk, make_vectors, allow):
    pool, vectors = make_pool(200), make_vectors(200)
    near = FacilityLocation(exact_rows=100, num_neighbors=50).select(pool, None, allow(pool, 10), make_desk(vectors))
    assert near.report["num_neighbors"] == 50
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    chosen = positions(near)
    covered = [len(np.intersect1d(np.argsort(row)[:49], chosen)) > 0 for row in apart]
    assert near.report["share_covered"] == pytest.approx(np.mean(covered))
    assert "mean_similarity" not in near.report
    itself = FacilityLocation(exact_rows=100).select(pool, None, allow(pool, 10), make_desk(vectors))
    assert itself.report["num_neighbors"] == 80, "four for each of the twenty rows that a chosen one stands for"


def test_equal_rows_count_for_their_number_and_come_last(make_pool, make_desk, make_vectors, allow):
    once = make_vectors(30)
    vectors = np.concatenate([once, once[[7] * 10]])
    pool = make_pool(40)
    found = FacilityLocation().select(pool, None, allow(pool, 34), make_desk(vectors))
    assert positions(found)[:30] == [at for at in positions(found) if at < 30]
    assert positions(found)[30:] == [30, 31, 32, 33]
    assert found.report["num_without_gain"] == 4
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    assert positions(found)[0] == int(np.argmin(apart.sum(axis=0).round(6)))
    firsts, counts = distinct(vectors)
    assert firsts.tolist() == list(range(30))
    assert counts.tolist() == [11 if at == 7 else 1 for at in range(30)]


def test_bad_rows_are_left_out_with_reasons_and_shift_no_other(make_pool, make_desk, make_vectors, allow):
    vectors = make_vectors(40)
    rows = [{"id": f"r{at}", "instruction": f"question {at}", "output": f"answer {at}"} for at in range(40)]
    spoilt = vectors.copy()
    rows[3]["instruction"] = ""
    rows[5]["output"] = " "
    spoilt[8, 2] = np.nan
    spoilt[11] = 0
    scores = Scores(values=np.where(np.arange(40) == 20, np.nan, 1.0), reasons={20: "above_cut"})
    pool = make_pool(rows)
    found = FacilityLocation().select(pool, scores, allow(pool, 12), make_desk(spoilt))
    reasons = {"empty_instruction": 1, "empty_response": 1, "non_finite": 1, "zero_norm": 1, "no_score": 1}
    assert found.report["reasons"] == reasons
    kept = [at for at in range(40) if at not in (3, 5, 8, 11, 20)]
    clean = make_pool([rows[at] for at in kept])
    assert found.ids == FacilityLocation().select(clean, None, allow(clean, 12), make_desk(vectors[kept])).ids
    whole = FacilityLocation().select(pool, scores, allow(pool, 40), make_desk(spoilt))
    assert (len(whole.ids), whole.status) == (35, "short")


def test_scores_that_are_all_there_change_nothing(make_pool, make_desk, make_vectors, allow):
    pool, vectors = make_pool(50), make_vectors(50)
    plain = FacilityLocation().select(pool, None, allow(pool, 9), make_desk(vectors))
    scores = Scores(values=np.random.default_rng(0).normal(size=50))
    assert FacilityLocation().select(pool, scores, allow(pool, 9), make_desk(vectors)).ids == plain.ids


def test_a_budget_in_tokens_ends_before_the_first_row_that_is_too_dear(make_pool, make_desk, make_vectors, allow):
    pool, vectors = make_pool(50), make_vectors(50)
    order = positions(FacilityLocation().select(pool, None, allow(pool, 50), make_desk(vectors)))
    costs = np.random.default_rng(1).integers(1, 20, 50).astype(float)
    found = FacilityLocation().select(pool, None, allow(pool, 70, costs), make_desk(vectors))
    assert positions(found) == order[: int(np.searchsorted(np.cumsum(costs[order]), 70, side="right"))]
    assert len(found.scores) == len(found.ids)


def test_a_pool_without_rows_to_choose_gives_none(make_pool, make_desk, make_vectors, allow):
    pool = make_pool([{"id": "r0", "instruction": "", "output": "a"}])
    found = FacilityLocation().select(pool, None, allow(pool, 1), make_desk(make_vectors(1)))
    assert (found.ids, found.status, found.report["reasons"]) == ((), "short", {"empty_instruction": 1})


@pytest.mark.parametrize("wrong", [{"exact_rows": -1}, {"num_neighbors": 1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FacilityLocation(**wrong)
