"""ROUGE-L from its definition, and a shortlist that passes over nothing."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftbench_plugins.generators.rouge import Known, common_length, rouge_l, words_of


def longest_by_table(left, right):
    """The textbook table."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, j in itertools.product(range(len(left)), range(len(right))):
        table[i + 1][j + 1] = table[i][j] + 1 if left[i] == right[j] else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


words = st.lists(st.sampled_from("abcde"), max_size=14)


@given(words, words)
def test_the_common_length_is_that_of_the_textbook_table(left, right):
    assert common_length(left, right) == longest_by_table(left, right)


@given(words, words)
def test_f_is_made_of_precision_and_recall(left, right):
    common = longest_by_table(left, right)
    expected = 2 * common / (len(left) + len(right)) if common else 0.0
    assert rouge_l(left, right) == pytest.approx(expected)


@settings(max_examples=300)
@given(st.lists(words, max_size=12), words, st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
def test_the_shortlist_decides_as_a_comparison_with_all_does(texts, text, limit):
    known = Known(limit=limit)
    for each in texts:
        known.add(" ".join(each))
    expected = any(rouge_l(text, each) > limit for each in texts)
    assert known.has_near(" ".join(text)) == expected


def test_of_many_texts_few_are_compared():
    rng = random.Random(0)
    vocabulary = [f"w{at}" for at in range(2000)]
    known = Known()
    for _ in range(2000):
        known.add(" ".join(rng.choices(vocabulary, k=12)))
    for _ in range(50):
        assert not known.has_near(" ".join(rng.choices(vocabulary, k=12)))
    assert known.num_compared < 50


def test_words_are_small_letters_and_digits():
    assert words_of("Don't—STOP 3.5 ñ") == ["don", "t", "stop", "3", "5"]
    assert not Known().has_near("!!!")
