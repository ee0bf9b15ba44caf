"""The compression ratio against gzip itself, and against texts whose redundancy is known."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest

from sftbench.diversity.compression import compression, gzip_bytes
from sftbench.diversity.corpus import Words, corpus_of


def measured(texts, **options):
    found = compression(corpus_of(texts, tokenize=Words()), seed=42, **options)
    return {each.metric: each for each in found}


def random_texts(num, *, seed=0, length=200):
    draw = np.random.default_rng(seed)
    return ["".join(map(chr, draw.integers(97, 123, length))) for _ in range(num)]


def test_it_is_what_gzip_at_level_six_makes_of_the_joined_texts():
    texts = [*random_texts(20), "äöü", "a\nb"]
    joined = "\n".join(texts).encode()
    assert gzip_bytes(texts) == (len(joined), len(gzip.compress(joined, 6)))


def test_redundant_texts_have_a_larger_ratio_and_the_arrow_points_down():
    varied, same = measured(random_texts(50)), measured(random_texts(1) * 50)
    assert same["compression-ratio"].value > 5 * varied["compression-ratio"].value
    assert varied["compression-ratio"].direction == "down"


def test_the_printed_arrow_is_kept_for_comparison_with_printed_figures_only():
    literal = measured(random_texts(5), mode="paper_literal")["compression-ratio"]
    assert literal.direction == "up"
    assert literal.value == measured(random_texts(5))["compression-ratio"].value


def test_the_order_of_the_rows_does_not_matter_beyond_the_window_but_the_seed_fixes_it():
    texts = random_texts(60)
    assert measured(texts)["compression-ratio"] == measured(texts)["compression-ratio"]


def test_the_long_window_sees_repetition_that_gzip_forgets():
    block = random_texts(600, length=200)
    texts = block + block
    found = measured(texts)
    assert found["compression-ratio"].value < 2
    assert found["compression-ratio-long-window"].value > 2.5


def test_the_error_is_near_the_spread_of_repeated_draws():
    draw = np.random.default_rng(3)
    vocabulary = random_texts(500, length=6)
    found = []
    for _ in range(12):
        texts = [" ".join(draw.choice(vocabulary, draw.integers(20, 120))) for _ in range(200)]
        found.append(measured(texts)["compression-ratio"])
    spread = np.std([each.value for each in found], ddof=1)
    claimed = np.mean([(each.ci_hi - each.ci_lo) / 2 / 2.093 for each in found])
    assert 0.5 * spread < claimed < 4 * spread


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_no_text_has_no_ratio(texts):
    for each in measured(texts).values():
        assert math.isnan(each.value)
        assert each.note == "too_few_samples"
