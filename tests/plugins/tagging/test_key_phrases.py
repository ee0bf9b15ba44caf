"""The stand-in tagger: words and pairs by how rare they are in the pool."""

from __future__ import annotations

import math
from collections import Counter

from sftbench_plugins.tagging.key_phrases import KeyPhrases

TEXTS = [
    "Solve the linear equation for x.",
    "Write a poem about the sea",
    "Solve this linear equation, then write a poem about it.",
    "Write a short letter to the sea captain",
    "",
]


def phrases_of(texts, **more):
    phrases = KeyPhrases(**{"max_phrases": 8, "min_rows": 2, **more})
    phrases.count(texts)
    return [phrases.of(text) for text in texts]


def test_phrases_shared_by_rows_are_found_and_pairs_cover_their_words():
    found = phrases_of(TEXTS)
    assert found[0] == ["linear equation", "solve"]
    assert set(found[1]) == {"poem", "write", "sea"}
    assert found[4] == []


def test_a_pair_has_nothing_but_a_space_between_and_no_function_word():
    texts = ["green tea", "green. tea", "green and tea", "green tea"]
    found = phrases_of(texts)
    assert found[0] == found[3] == ["green tea"]
    assert set(found[1]) == set(found[2]) == {"green", "tea"}


def test_the_rarest_phrases_come_first_and_no_more_than_asked_for():
    texts = [f"common word{index % 4} word{index % 2}x" for index in range(40)]
    found = phrases_of(texts, max_phrases=2)
    assert all(len(each) == 2 for each in found)
    every = phrases_of(texts)
    rows_with = Counter(phrase for each in every for phrase in each)
    for each in every:
        weights = [math.log(41 / rows_with[phrase]) for phrase in each]
        assert weights == sorted(weights, reverse=True)


def test_counts_by_hash_are_those_of_plain_counting_for_a_small_pool():
    draw = [f"t{index * index % 97} t{index % 89}" for index in range(2000)]
    phrases = KeyPhrases(max_phrases=8, min_rows=1)
    phrases.count(draw)
    counts = Counter(word for text in draw for word in set(text.split()))
    for word, count in counts.items():
        from sftbench_plugins.tagging.key_phrases import _cells

        assert min(int(table[at]) for table, at in zip(phrases._tables, _cells(word), strict=True)) == count
