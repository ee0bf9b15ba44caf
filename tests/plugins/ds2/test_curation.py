"""Votes, flags and decisions against plain loops, and ratings put right where the errors are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sftbench_plugins.ds2 import curate
from sftbench_plugins.ds2.curate import Curation
from sftbench_plugins.ds2.curation import Tally, corruption, decide, flagged, long_tail, votes
from sftbench_plugins.ds2.neighbours import Neighbours
from sftbench_plugins.ds2.scorer import drawing
from sftbench_plugins.ds2.transition import NUM_CLASSES, Consensus, Transition, fit

FLAT = np.full(NUM_CLASSES, 1 / NUM_CLASSES)


@pytest.fixture
def near():
    draw = np.random.default_rng(0)
    labels = draw.integers(NUM_CLASSES, size=(40, 10))
    distances = np.sort(draw.uniform(0, 0.8, size=(40, 10)), axis=1).astype(np.float32)
    return labels, distances


def test_votes_equal_a_loop(near):
    labels, distances = near
    before = distances.copy()
    found = votes(labels, distances)
    for row in range(len(labels)):
        vote = [0.0] * NUM_CLASSES
        for place, label in enumerate(labels[row]):
            distance = 2 * distances[row, 1] - distances[row, 2] if place == 0 else distances[row, place]
            vote[label] += 1 - distance
        np.testing.assert_allclose(found[row], np.array(vote) / math.hypot(*vote), atol=1e-6)
    np.testing.assert_array_equal(distances, before)


def test_corruption_is_the_logarithm_of_the_vote_for_ones_own():
    voted = np.array([[0.6, 0.8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]], dtype=np.float32)
    found = corruption(voted, np.array([1, 0]))
    assert found.tolist() == pytest.approx([-math.log(0.8 + 1e-8), -math.log(1e-8)], rel=1e-5)


def test_each_class_is_flagged_by_its_own_rate_and_an_empty_class_by_none():
    scores = np.arange(20, dtype=np.float32)
    labels = np.array([0] * 10 + [3] * 10)
    rates = np.array([0.3, np.nan, np.nan, 0.05, np.nan, np.nan])
    found = flagged(scores, labels, rates)
    expected = scores >= np.where(labels == 0, np.percentile(scores[:10], 70), np.percentile(scores[10:], 95))
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == 4


def test_equal_scores_are_flagged_together():
    assert flagged(np.ones(5, dtype=np.float32), np.zeros(5, dtype=np.int64), np.full(6, 0.2)).all()


def test_a_row_that_stands_in_a_sample_twice_counts_once():
    tally = Tally.empty(3)
    tally.add(np.array([0, 1, 0]), np.array([True, False, True]), np.array([4, 2, 5]))
    tally.add(np.array([1, 0]), np.array([True, False]), np.array([2, 0]))
    assert tally.sampled.tolist() == [2, 2, 0]
    assert tally.flagged.tolist() == [1, 1, 0]
    assert tally.suggested[0].tolist() == [0, 0, 0, 0, 1, 1]
    assert tally.suggested[1].tolist() == [0, 0, 1, 0, 0, 0]


def test_decisions_equal_the_rule_row_by_row():
    draw = np.random.default_rng(5)
    num_rows = 200
    ratings = draw.integers(NUM_CLASSES, size=num_rows)
    tally = Tally.empty(num_rows)
    for _ in range(30):
        rows = draw.choice(num_rows, 180, replace=False)
        likely = np.where(draw.random(180) < 0.9, (ratings[rows] + rows) % NUM_CLASSES, draw.integers(6, size=180))
        tally.add(rows, draw.random(180) < rows / num_rows, likely)
    found = decide(tally, ratings, least_confidence=0.5)
    for row in range(num_rows):
        noisy = (tally.flagged[row] + 1) / (tally.sampled[row] + 2)
        shares = [(each + 1) / (tally.suggested[row].sum() + 6) for each in tally.suggested[row]]
        shares[ratings[row]] = -1
        best = max(range(6), key=lambda each: shares[each])
        replaced = round(noisy) == 1 and shares[best] * noisy >= 0.5
        assert found.confidence[row] == pytest.approx(shares[best] * noisy)
        assert found.suggestion[row] == best
        assert found.is_flagged[row] == (round(noisy) == 1)
        assert found.ratings[row] == (best if replaced else ratings[row])
    assert 0 < (found.ratings != ratings).sum() < num_rows


def test_a_row_that_was_never_sampled_keeps_its_rating():
    found = decide(Tally.empty(2), np.array([3, 0]), least_confidence=0.0)
    assert found.ratings.tolist() == [3, 0]
    assert found.noisy.tolist() == [0.5, 0.5]
    assert not found.is_flagged.any()


def test_the_long_tail_grows_with_the_distance_and_lies_below_one():
    distances = np.array([[0, 0, 0], [0, 0.3, 0.6], [0, 2, 2]], dtype=np.float32)
    found = long_tail(distances, rounded=False)
    np.testing.assert_allclose(found, [math.tanh(each / 2) for each in (0, 0.3, 4 / 3)], rtol=1e-6)
    assert long_tail(distances, rounded=True).tolist() == [round(each, 4) for each in found.tolist()]


def test_curation_puts_right_what_neighbours_know_better(make_rated):
    rated = make_rated(3000)
    neighbours = Neighbours(vectors=rated.vectors)
    chance, prior_logits = drawing("paper", 0)
    outcome = Curation(num_rounds=10).run(rated.noisy, neighbours, chance=chance, prior_logits=prior_logits)
    before, after = (rated.noisy == rated.true).mean(), (outcome.ratings == rated.true).mean()
    assert before < 0.75
    assert after > before + 0.15
    drawn = np.zeros((NUM_CLASSES, NUM_CLASSES))
    np.add.at(drawn, (rated.true, rated.noisy), 1)
    found = np.array(outcome.report["transition"])
    np.testing.assert_allclose(np.diag(found), np.diag(drawn / drawn.sum(1, keepdims=True)), atol=0.1)


def test_copies_make_ratings_look_almost_without_error(make_rated):
    """What the released pipeline does to a small pool: a row's nearest is itself once more."""
    rated = make_rated(300)
    shuffled = np.random.default_rng(0).permutation(rated.noisy)
    shares = np.bincount(shuffled, minlength=6) / 300
    agreement = {}
    for copies in (1, 2):
        chance, prior_logits = drawing("paper", 0)
        neighbours = Neighbours(vectors=rated.vectors, copies=copies)
        outcome = Curation(num_epochs=1).run(shuffled, neighbours, chance=chance, prior_logits=prior_logits)
        agreement[copies] = outcome.report["agreement_with_nearest"]
    assert agreement[1] == pytest.approx((shares**2).sum(), abs=0.06), "chance alone"
    assert agreement[2] > 0.85


@pytest.mark.parametrize("num_rows", [0, 1, 3])
def test_too_few_rows_keep_their_ratings(num_rows):
    vectors = np.random.default_rng(0).normal(size=(num_rows, 4)).astype(np.float32)
    ratings = np.arange(num_rows)
    chance, prior_logits = drawing("paper", 0)
    outcome = Curation().run(ratings, Neighbours(vectors=vectors), chance=chance, prior_logits=prior_logits)
    assert outcome.status == "curation_skipped"
    assert outcome.ratings.tolist() == ratings.tolist()


def test_one_class_alone_keeps_its_ratings(make_rated):
    rated = make_rated(50)
    chance, prior_logits = drawing("paper", 0)
    ratings = np.full(50, 4)
    outcome = Curation().run(ratings, Neighbours(vectors=rated.vectors), chance=chance, prior_logits=prior_logits)
    assert outcome.status == "curation_skipped"


def test_a_small_pool_shrinks_sample_and_neighbours_and_says_so(make_rated):
    rated = make_rated(8, num_clusters=2)
    chance, prior_logits = drawing("paper", 0)
    ratings = np.array([0, 5] * 4)
    outcome = Curation().run(ratings, Neighbours(vectors=rated.vectors), chance=chance, prior_logits=prior_logits)
    assert (outcome.report["sample_size"], outcome.report["num_neighbours"]) == (7, 7)


@pytest.fixture(scope="module")
def golden(reference_data):
    folder = reference_data / "golden" / "ds2"
    given = np.load(folder / "input.npz")
    return given, np.load(folder / "expected.npz"), json.loads((folder / "expected.json").read_text())


SETTINGS = [("plain", 1), ("duplicated", 2)]


@pytest.mark.reference
@pytest.mark.parametrize(("setting", "copies"), SETTINGS)
def test_votes_scores_and_consensus_over_all_rows_are_the_authors(golden, setting, copies):
    given, arrays, _ = golden
    labels = given["noisy_score"].astype(np.int64)
    neighbours = Neighbours(vectors=given["embedding"], copies=copies)
    rows, distances = neighbours.everywhere(10)
    voted = votes(labels[rows], distances)
    np.testing.assert_allclose(voted, arrays[f"{setting}_vote"], atol=1e-4)
    np.testing.assert_allclose(corruption(voted, labels), arrays[f"{setting}_corruption_score"], atol=1e-4)
    tails = arrays[f"{setting}_long_tail"][: len(labels)]
    np.testing.assert_allclose(long_tail(distances, rounded=True), tails, atol=1.01e-4)
    seen = Consensus.of(labels[neighbours.everywhere(3)[0]])
    for order, each in enumerate((seen.first, seen.second, seen.third), 1):
        np.testing.assert_allclose(each, arrays[f"{setting}_consensus{order}"], atol=1e-4)


@pytest.mark.reference
@pytest.mark.parametrize(("setting", "copies"), SETTINGS)
def test_the_fit_is_the_authors_within_its_jitter(golden, setting, copies):
    given, _, expected = golden
    labels = given["noisy_score"].astype(np.int64)
    seen = Consensus.of(labels[Neighbours(vectors=given["embedding"], copies=copies).everywhere(3)[0]])
    found = fit(seen, prior_logits=FLAT, keep_best=False)
    np.testing.assert_allclose(found.matrix, expected[setting]["T_from_full_consensus"], atol=0.02)
    np.testing.assert_allclose(found.prior, expected[setting]["p_from_full_consensus"], atol=0.02)
    best = fit(seen, prior_logits=FLAT, keep_best=True)
    assert best.loss == pytest.approx(expected[setting]["loss_min_tracked"], abs=5e-4)


@pytest.mark.reference
@pytest.mark.parametrize(("setting", "copies"), SETTINGS)
def test_given_the_authors_matrix_every_flag_and_every_corrected_rating_is_theirs(golden, monkeypatch, setting, copies):
    """The fit alone is not theirs to the last digit: its end jitters as the machine rounds."""
    given, _, expected = golden
    labels, told = given["noisy_score"].astype(np.int64), expected[setting]
    matrix, prior = np.array(told["pipeline_T"]), np.array(told["pipeline_p_clean"])
    monkeypatch.setattr(curate, "fit", lambda *args, **more: Transition(matrix=matrix, prior=prior, loss=0.0))
    chance, prior_logits = drawing("official", 3)
    neighbours = Neighbours(vectors=given["embedding"], copies=copies)
    outcome = Curation(official=True).run(labels, neighbours, chance=chance, prior_logits=prior_logits)
    assert np.flatnonzero(outcome.curated.is_flagged).tolist() == sorted(told["flagged"])
    assert outcome.ratings.tolist() == told["curated_scores"]
    for row, suggestion, confidence in told["curation"]:
        assert outcome.curated.suggestion[row] == suggestion
        assert outcome.curated.confidence[row] == pytest.approx(confidence, abs=1e-9)


@pytest.mark.reference
@pytest.mark.parametrize(("setting", "copies"), SETTINGS)
def test_the_whole_curation_corrects_the_rows_that_the_authors_code_corrects(golden, setting, copies):
    given, _, expected = golden
    labels, told = given["noisy_score"].astype(np.int64), expected[setting]
    chance, prior_logits = drawing("official", 3)
    neighbours = Neighbours(vectors=given["embedding"], copies=copies)
    outcome = Curation(official=True).run(labels, neighbours, chance=chance, prior_logits=prior_logits)
    np.testing.assert_allclose(outcome.report["transition"], told["pipeline_T"], atol=0.02)
    np.testing.assert_allclose(outcome.report["true_class_shares"], told["pipeline_p_clean"], atol=0.02)
    assert (outcome.ratings == np.array(told["curated_scores"])).mean() >= 0.97
    mine, theirs = set(np.flatnonzero(outcome.curated.is_flagged).tolist()), set(told["flagged"])
    assert len(mine & theirs) / len(mine | theirs) >= 0.9
    accuracy = (outcome.ratings == given["true_score"]).mean()
    assert accuracy == pytest.approx(told["quality"]["curated_agreement_with_truth"], abs=0.02)
