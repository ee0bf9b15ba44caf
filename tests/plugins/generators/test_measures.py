"""Distinct-n from its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench_plugins.generators.measures import ORDERS, Distinct, distinct


def by_sets(texts, order):
    grams = [tuple(words[at : at + order]) for words in map(str.split, texts) for at in range(len(words) - order + 1)]
    return len(set(grams)) / len(grams) if grams else None


@given(st.lists(st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=9).map(" ".join), max_size=8))
def test_it_is_the_share_of_different_word_sequences_within_texts(texts):
    counted = Distinct()
    for text in texts:
        counted.add(text)
    assert counted.values() == {str(order): by_sets(texts, order) for order in ORDERS}


def test_all_different_words_give_one_and_copies_divide_it():
    text = "one two three four five six"
    assert distinct([text], 5) == 1
    assert distinct([text] * 4, 5) == pytest.approx(0.25)
    assert distinct(["too few words"], 5) is None


def test_texts_beyond_the_number_wanted_do_not_count():
    counted = Distinct(num_texts=1)
    counted.add("a b")
    counted.add("a b")
    assert counted.values()["2"] == 1
