"""Distinct-n against sets of tuples, and its intervals against repeated draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench.diversity.distinct import distinct
from sftbench.diversity.subsets import subsets_of


def measured(corpus, *, budget=None, seed=0):
    found = distinct(corpus, subsets_of(corpus, budget, seed=seed), seed=seed)
    return {each.metric: each for each in found}


def plainly(texts, n):
    kinds = [tuple(text[at : at + n]) for text in texts for at in range(len(text) - n + 1)]
    return len(set(kinds)) / len(kinds)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_it_is_the_share_of_different_tuples(ragged, zipfian, n):
    texts = [each.tolist() for each in zipfian(50, num_types=12)]
    assert measured(ragged(texts))[f"distinct-{n}"].value == pytest.approx(plainly(texts, n), abs=1e-15)


def test_tokens_that_all_differ_give_one_and_one_token_over_and_over_nearly_none(ragged):
    assert measured(ragged([[1, 2, 3], [4, 5, 6]]))["distinct-1"].value == 1
    assert measured(ragged([[7] * 100] * 10))["distinct-2"].value == pytest.approx(1 / 990)


def test_subsets_hold_the_budget_exactly_and_are_counted_like_texts_cut_short(ragged, zipfian):
    texts = [each.tolist() for each in zipfian(30, num_types=20)]
    corpus = ragged(texts)
    subsets = subsets_of(corpus, 333, seed=5)
    assert (subsets.kept.sum(axis=1) == 333).all()
    assert ((subsets.kept > 0) & (subsets.kept < np.diff(corpus.offsets))).sum(axis=1).max() <= 1
    cut = [[text[:kept] for text, kept in zip(texts, row, strict=True)] for row in subsets.kept]
    wanted = np.mean([plainly(each, 3) for each in cut])
    assert measured(corpus, budget=333, seed=5)["distinct-3-at-budget"].value == pytest.approx(wanted, abs=1e-12)


def test_at_a_budget_it_does_not_fall_with_the_size_of_the_set(ragged, zipfian):
    small, large = (measured(ragged(zipfian(rows, seed=rows)), budget=1500) for rows in (100, 400))
    assert large["distinct-2"].value < 0.85 * small["distinct-2"].value
    assert large["distinct-2-at-budget"].value == pytest.approx(small["distinct-2-at-budget"].value, rel=0.05)
    assert small["distinct-2-at-budget"].tokens == 1500


def test_without_a_budget_it_is_half_of_the_corpus(ragged, zipfian):
    corpus = ragged(zipfian(40))
    assert measured(corpus)["distinct-1-at-budget"].tokens == len(corpus.values) // 2


def test_a_corpus_below_the_budget_is_taken_whole_and_says_so(ragged, zipfian):
    found = measured(ragged(zipfian(10)), budget=10**6)
    assert found["distinct-2-at-budget"].value == found["distinct-2"].value
    assert found["distinct-2-at-budget"].note == "budget_not_reached"


def test_the_error_is_near_the_spread_of_repeated_draws_and_not_below_it(ragged, zipfian):
    found = [measured(ragged(zipfian(120, seed=seed)), seed=seed)["distinct-2"] for seed in range(40)]
    spread = np.std([each.value for each in found], ddof=1)
    claimed = np.mean([(each.ci_hi - each.ci_lo) / 2 / 2.093 for each in found])
    assert 0.8 * spread < claimed < 1.8 * spread


def test_the_error_at_half_of_the_tokens_is_that_of_the_whole(ragged, zipfian):
    corpora = [ragged(zipfian(120, seed=seed)) for seed in range(40)]
    found = [measured(corpus, budget=1800, seed=seed)["distinct-2-at-budget"] for seed, corpus in enumerate(corpora)]
    spread = np.std([each.value for each in found], ddof=1)
    claimed = np.mean([(each.ci_hi - each.ci_lo) / 2 / 2.093 for each in found])
    assert 0.6 * spread < claimed < 2.5 * spread


def test_texts_too_short_give_no_grams_and_are_counted(ragged):
    found = measured(ragged([[1, 2], [3], []]))
    assert found["distinct-2"].value == 1
    assert found["distinct-2"].note == "shorter_than_n: 1"
    assert found["distinct-2"].n == 2
    assert math.isnan(found["distinct-3"].value)
    assert "too_few_samples" in found["distinct-3"].note


def test_nothing_at_all_is_no_crash(ragged):
    for texts in ([], [[]]):
        assert all(math.isnan(each.value) for each in measured(ragged(texts)).values())
