"""Entropy against closed forms, and its correction against the law that the ids were drawn by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench.diversity.entropy import TypeCounts, corrected, entropies, entropy
from sftbench.diversity.subsets import subsets_of


def measured(corpus, pool=None, *, budget=None):
    found = entropies(corpus, subsets_of(corpus, budget, seed=0), pool or TypeCounts.of(corpus), seed=0)
    return {each.metric: each for each in found}


@pytest.mark.parametrize("num_types", [1, 2, 97])
def test_a_uniform_vocabulary_has_the_logarithm_of_its_size(num_types):
    assert entropy(np.full(num_types, 13)) == pytest.approx(math.log(num_types), abs=1e-12)


def test_it_is_minus_the_sum_of_p_log_p_over_all_types(ragged, zipfian):
    texts = zipfian(50)
    _, counts = np.unique(np.concatenate(texts), return_counts=True)
    p = counts / counts.sum()
    assert measured(ragged(texts))["entropy"].value == pytest.approx(-(p * np.log(p)).sum(), abs=1e-12)


def test_the_correction_takes_most_of_the_bias_away():
    shares = 1 / (np.arange(300) + 2.0)
    shares /= shares.sum()
    truth = -(shares * np.log(shares)).sum()
    draw = np.random.default_rng(1)
    counts = [draw.multinomial(2000, shares) for _ in range(50)]
    raw, better = (np.mean([each(count) for count in counts]) - truth for each in (entropy, corrected))
    assert raw < -0.05
    assert abs(better) < 0.3 * abs(raw)


def test_the_middle_band_is_that_of_the_pool_and_its_shares_add_up_to_one(ragged):
    pool = TypeCounts(counts=np.array([1, 1000, 20, 20, 20, 3]), num_rows=117_000)
    assert pool.band.tolist() == [False, False, True, True, True, False]
    corpus = ragged([[0, 1, 1, 2, 3], [4, 5, 1]])
    assert measured(corpus, pool)["entropy-mid-band"].value == pytest.approx(math.log(3))
    assert measured(corpus, pool)["entropy-mid-band"].tokens == 3


def test_the_band_of_a_small_pool_begins_at_two():
    pool = TypeCounts(counts=np.array([1, 2, 3, 4]), num_rows=500)
    assert pool.band.tolist() == [False, True, True, False]


def test_at_a_budget_it_is_the_mean_over_texts_cut_to_it(ragged, zipfian):
    texts = zipfian(30)
    corpus = ragged(texts)
    kept = subsets_of(corpus, 200, seed=0).kept
    cut = [np.concatenate([text[:count] for text, count in zip(texts, row, strict=True)]) for row in kept]
    wanted = np.mean([entropy(np.bincount(each)) for each in cut])
    assert measured(corpus, budget=200)["entropy-at-budget"].value == pytest.approx(wanted, abs=1e-12)


def test_the_error_is_near_the_spread_of_repeated_draws(ragged, zipfian):
    found = [measured(ragged(zipfian(150, seed=seed)))["entropy"] for seed in range(60)]
    spread = np.std([each.value for each in found], ddof=1)
    claimed = np.mean([(each.ci_hi - each.ci_lo) / 2 / 2.093 for each in found])
    assert 0.75 * spread < claimed < 1.35 * spread


def test_nothing_has_no_entropy_and_no_crash(ragged):
    for texts in ([], [[], []]):
        found = measured(ragged(texts))
        assert all(math.isnan(each.value) and each.note == "too_few_samples" for each in found.values())
