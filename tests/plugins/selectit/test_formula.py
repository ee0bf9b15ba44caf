"""The three levels from chosen probabilities: closed forms, plain loops, and the authors' own figures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sftbench_plugins.selectit.formula import (
    OFFICIAL_WEIGHTS,
    model_level,
    sentence_level,
    token_level,
    weights_by_size,
)

MODES = ["paper", "official"]


def by_hand(probs, mode):
    """One row of digit probabilities, as the paper and the authors' code have it, number by number."""
    shares = [each / math.fsum(probs) for each in probs]
    if mode == "official":
        powers = [math.exp(each) for each in shares]
        shares = [each / math.fsum(powers) for each in powers]
    best = max(range(len(shares)), key=lambda at: shares[at])
    return (best + 1) * math.fsum(shares[best] - each for each in shares) / (len(shares) - 1)


@pytest.mark.parametrize(("mode", "most"), [("paper", 5.0), ("official", 5 * (math.e - 1) / (math.e + 4))])
def test_certainty_of_the_highest_digit_is_the_top_and_no_opinion_is_zero(mode, most):
    probs = np.array([[0, 0, 0, 0, 0.3], [0.2] * 5, [0.01] * 5])
    np.testing.assert_allclose(token_level(probs, mode), [most, 0, 0], atol=1e-12)
    if mode == "official":
        assert most == pytest.approx(1.2788, abs=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_ratings", [2, 5, 9])
def test_the_token_level_equals_a_loop(mode, num_ratings):
    probs = np.random.default_rng(0).dirichlet([0.4] * num_ratings, size=(7, 3)) * 0.6
    expected = [[by_hand(list(each), mode) for each in row] for row in probs]
    np.testing.assert_allclose(token_level(probs, mode), expected, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_of_two_likeliest_digits_the_lower_counts(mode):
    probs = np.array([0.4, 0.4, 0.0, 0.0, 0.0])
    gap = by_hand([0.4, 0.4, 0, 0, 0], mode)
    assert token_level(probs, mode) == pytest.approx(gap)
    assert gap < token_level(np.array([0.0, 0.4, 0.4, 0.0, 0.0]), mode)


@pytest.mark.parametrize("mode", MODES)
def test_without_any_mass_there_is_no_score(mode):
    assert np.isnan(token_level(np.zeros(5), mode))


def test_the_second_normalisation_changes_the_order():
    """A sure 1 against a wavering 5: the exponential makes the large gap of the first larger still."""
    probs = np.array([[1.0, 0.0, 0.0, 0.0, 0.0], [0.155, 0.155, 0.155, 0.155, 0.38]])
    paper, official = token_level(probs, "paper"), token_level(probs, "official")
    assert paper == pytest.approx([1.0, 1.125])
    assert official[0] > official[1]


def test_the_sentence_level_is_mean_over_spread():
    scores = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5])
    np.testing.assert_allclose(sentence_level(scores, 0.2), [3 / (1 + 0.2 * np.sqrt(2)), 2.0])
    np.testing.assert_allclose(sentence_level(scores, 0.0), [3.0, 2.0])


@pytest.mark.parametrize(
    ("num_prompts", "num_failed", "has_score"),
    [(5, 2, True), (5, 3, False), (3, 1, False), (2, 1, False), (1, 0, True)],
)
def test_a_sentence_needs_three_prompts_or_all_of_fewer(num_prompts, num_failed, has_score):
    scores = np.arange(1.0, num_prompts + 1)[None]
    scores[:, :num_failed] = np.nan
    found = sentence_level(scores, 0.2)[0]
    assert np.isfinite(found) == has_score
    if has_score:
        left = scores[0, num_failed:]
        assert found == pytest.approx(left.mean() / (1 + 0.2 * left.std()))


def test_the_model_level_is_a_weighted_sum_that_needs_every_model():
    sentences = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    assert model_level(sentences, OFFICIAL_WEIGHTS)[0] == pytest.approx(7 / 20 + 2 * 13 / 20 + 3 * 70 / 90)
    assert np.isnan(model_level(sentences, OFFICIAL_WEIGHTS)[1])
    assert weights_by_size([7, 13, 70]) == pytest.approx([7 / 90, 13 / 90, 70 / 90])


@pytest.fixture(scope="module")
def golden(reference_data):
    folder = reference_data / "golden" / "selectit"
    rows = [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]
    expected = json.loads((folder / "expected.json").read_text())
    return np.array([row["digit_probs"] for row in rows]), expected


@pytest.mark.reference
def test_official_gives_the_authors_scores_at_every_level(golden):
    probs, expected = golden
    tokens = token_level(probs, "official")
    np.testing.assert_allclose(tokens[:, 0, 0], expected["token_level_model0_prompt0"]["score"], atol=1e-6)
    sentences = sentence_level(tokens, expected["params"]["alpha"])
    np.testing.assert_allclose(sentences[:, 0], expected["sentence_level_model0"]["score"], atol=1e-6)
    np.testing.assert_allclose(sentences.T, expected["model_level"]["sentence_score_per_model"], atol=1e-6)
    assert expected["model_level"]["weights_official"] == pytest.approx(OFFICIAL_WEIGHTS)
    np.testing.assert_allclose(model_level(sentences, OFFICIAL_WEIGHTS), expected["model_level"]["score"], atol=1e-6)


@pytest.mark.reference
def test_paper_gives_the_linear_reading(golden):
    probs, expected = golden
    tokens = token_level(probs, "paper")
    np.testing.assert_allclose(tokens[:, 0], expected["paper_reading"]["token_level_model0"], atol=1e-6)
    sentences = sentence_level(tokens, expected["params"]["alpha"])
    np.testing.assert_allclose(sentences.T, expected["paper_reading"]["sentence_level"], atol=1e-6)
