"""What is counted on answers: characters, tokens, and markdown outside of code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench.judging.answers import answer_columns, count_tokens, markdown_counts


@pytest.mark.parametrize(
    ("text", "headers", "lists", "bolds"),
    [
        ("# a\n## b\n####### c\n#d\n text # e", 2, 0, 0),
        ("- a\n* b\n+ c\n  - d\n1. e\n 22. f\n3.g\n-h", 0, 6, 0),
        ("**a** __b__ ** c** **d\ne** **__f__**", 0, 0, 5),
        ("# a\n```\n# b\n- c\n**d**\n```\n- e", 1, 1, 0),
        ("~~~py\n# b\n```\n# c\n~~~\n# d", 1, 0, 0),
        ("````\n```\n# a\n````\n# b", 1, 0, 0),
        ("```\n# never closed\n- a", 0, 0, 0),
        ("```inline``` **a**\n# b", 1, 0, 1),
        ("", 0, 0, 0),
    ],
)
def test_markdown_is_counted_outside_of_code(text, headers, lists, bolds):
    assert markdown_counts(text) == {"headers": headers, "lists": lists, "bolds": bolds}


@given(st.text(alphabet="#*_-+1. \nab", max_size=80))
def test_without_code_the_counts_are_those_of_arena_hard(text):
    """Its regular expressions, over the whole text."""

    def number(*forms):
        return sum(len(re.findall(form, text, re.MULTILINE)) for form in forms)

    assert markdown_counts(text) == {
        "headers": number(r"^#{1,6}\s"),
        "lists": number(r"^\s*\d+\.\s", r"^\s*[-*+]\s"),
        "bolds": number(r"\*\*[^*\n]+\*\*", r"__[^_\n]+__"),
    }


def test_tokens_are_counted_however_long_a_text_is():
    assert count_tokens(["the cat sat", "", "word " * 5000, "Dogs!"]) == [3, 0, 5000, 2]


def test_every_pair_has_every_column():
    columns = answer_columns(["# a", "b"], ["c d", ""])
    assert columns["length_model"] == [3, 1]
    assert columns["tokens_baseline"] == [2, 0]
    assert columns["style_model"][0] == {"headers": 1, "lists": 0, "bolds": 0}
    assert {len(values) for values in columns.values()} == {2}
