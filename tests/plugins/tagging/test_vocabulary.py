"""Tags that are rare, spelt alike, mean the same or go together: each stage against a plain statement of it."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from sftbench import Ragged
from sftbench_plugins.tagging.rules import associated
from sftbench_plugins.tagging.vocabulary import Vocabulary, near, spellings


def vocabulary_of(rows):
    """From the tags of every row."""
    names = sorted({tag for row in rows for tag in row})
    codes = Ragged.of([np.array([names.index(tag) for tag in row], dtype=np.int32) for row in rows], dtype=np.int32)
    return Vocabulary.of(codes, names), codes


def held(vocabulary):
    """The tags of every row, as sets."""
    matrix = vocabulary.matrix
    return [
        {vocabulary.names[tag] for tag in matrix.indices[start:end]}
        for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]


def became(vocabulary, codes):
    """The column `tags`."""
    return [each.tolist() for each in vocabulary.columns(codes)["tags"]]


ROWS = [["b", "a"], ["a", "a", "cc"], [], ["b", "dd"], ["a"], ["cc"]]


def test_rows_have_their_tags_once():
    vocabulary, _ = vocabulary_of(ROWS)
    assert held(vocabulary) == [set(row) for row in ROWS]
    assert vocabulary.num_tags().tolist() == [2, 2, 0, 2, 1, 1]
    assert dict(zip(vocabulary.names, vocabulary.num_rows_with.tolist(), strict=True)) == {
        "a": 3,
        "b": 2,
        "cc": 2,
        "dd": 1,
    }


def test_frequent_tags_rank_first_then_short_ones_then_by_the_alphabet():
    vocabulary, _ = vocabulary_of([["zz", "aa", "y"], ["zz", "aa", "y"], ["long"], ["long"], ["long"]])
    assert [vocabulary.names[tag] for tag in np.argsort(vocabulary.ranks)] == ["long", "y", "aa", "zz"]


def test_tags_of_too_few_rows_go_and_leave_an_empty_text():
    vocabulary, codes = vocabulary_of(ROWS)
    frequent = vocabulary.without_rare(2)
    assert held(frequent) == [{"a", "b"}, {"a", "cc"}, set(), {"b"}, {"a"}, {"cc"}]
    assert [each.tolist() for each in frequent.columns(codes)["raw_tags"]] == ROWS
    assert became(frequent, codes) == [["b", "a"], ["a", "a", "cc"], [], ["b", ""], ["a"], ["cc"]]


def test_merged_tags_take_the_name_of_the_first_by_rank_and_raw_tags_know_where_they_went():
    vocabulary, codes = vocabulary_of(ROWS)
    groups = {"a": 0, "b": 7, "cc": 7, "dd": 7}
    merged = vocabulary.merged(np.array([groups[name] for name in vocabulary.names]))
    assert held(merged) == [{"a", "b"}, {"a", "b"}, set(), {"b"}, {"a"}, {"b"}]
    assert [each.tolist() for each in merged.columns(codes)["tags"]] == [
        ["b", "a"],
        ["a", "a", "b"],
        [],
        ["b", "b"],
        ["a"],
        ["b"],
    ]
    assert merged.largest_merged(3) == {"b": ["b", "cc", "dd"]}
    again = merged.without_rare(4)
    assert [each.tolist() for each in again.columns(codes)["tags"]] == [
        ["b", ""],
        ["", "", "b"],
        [],
        ["b", "b"],
        [""],
        ["b"],
    ]


def test_spellings_differ_in_case_marks_and_endings_only():
    names = [
        "Data Analysis",
        "data-analysis",
        "data_analysis!",
        "analysis of data",
        "summaries",
        "summary",
        "C++",
        "!?",
        "??",
    ]
    labels = spellings(names).tolist()
    assert labels[0] == labels[1] == labels[2]
    assert labels[4] == labels[5]
    assert len(set(labels)) == 6, "a tag of special characters alone is itself"


def test_near_tags_are_those_that_dbscan_joins():
    draw = np.random.default_rng(5)
    centres = draw.normal(size=(20, 6))
    vectors = centres[draw.integers(0, 20, 300)] + 0.25 * draw.normal(size=(300, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    for distance in (0.005, 0.02, 0.1):
        labels = near(vectors, distance)
        expected = DBSCAN(eps=distance, min_samples=1, metric="cosine").fit_predict(vectors)
        pairs = set(zip(labels.tolist(), expected.tolist(), strict=True))
        assert len(pairs) == len(set(labels.tolist())) == len(set(expected.tolist())) > 1


def test_a_vector_that_is_not_finite_stays_alone():
    vectors = np.array([[1, 0], [np.nan, 0], [1, 0], [np.nan, 0], [np.inf, 1]], dtype=np.float32)
    labels = near(vectors, 0.1).tolist()
    assert labels[0] == labels[2]
    assert len(set(labels)) == 4


def plainly_associated(rows, support, confidence):
    """Rules by counting sets, one merge round after the other, in the words of the specification."""
    rows = [set(row) for row in rows]
    while True:
        count = Counter(tag for row in rows for tag in row)
        first = sorted(count, key=lambda tag: (-count[tag], len(tag), tag))
        into = {}
        for tag, other in permutations(first, 2):
            both = sum({tag, other} <= row for row in rows)
            if both >= support and both >= confidence * count[tag] and first.index(other) < first.index(tag):
                into.setdefault(tag, []).append((-both, first.index(other), other))
        if not into:
            return rows
        goes = {tag: min(rules)[2] for tag, rules in into.items()}

        def end(tag, goes=goes):
            return end(goes[tag]) if tag in goes else tag

        rows = [{end(tag) for tag in row} for row in rows]


@pytest.mark.parametrize("seed", range(30))
def test_associated_tags_merge_as_plain_counting_says(seed):
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(60):
        row = set(draw.choice(list("abcdefgh"), draw.integers(0, 4), replace=False).tolist())
        # Some tags bring others along, now and then not.
        for tag, other in (("a", "b"), ("c", "a"), ("d", "e"), ("e", "d")):
            if tag in row and draw.random() < 0.9:
                row.add(other)
        rows.append(sorted(row))
    vocabulary, _ = vocabulary_of(rows)
    merged = associated(vocabulary, support=4, confidence=0.85)
    assert held(merged) == plainly_associated(rows, 4, 0.85)


def test_rules_need_their_support():
    rows = [["a", "b"]] * 3 + [["b"]] * 5
    vocabulary, _ = vocabulary_of(rows)
    assert associated(vocabulary, support=4, confidence=0.99).names == ["a", "b"]
    assert associated(vocabulary, support=3, confidence=0.99).names == ["b"]
