"""When an answer is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sftbench import Message, Row, UsageError
from sftbench_plugins.answers import accepted_answers, is_correct, normalised


@pytest.mark.parametrize(
    "response",
    ["fox", "Fox", " FOX.\n", '"fox"', "'fox'.", '"Fox."', "The answer is fox.", "Thus: the answer is: Fox", "fox!?"],
)
def test_case_blanks_quotes_and_final_punctuation_do_not_matter(response: str) -> None:
    assert is_correct(response, ["fox"])


@pytest.mark.parametrize(
    "response", ["", "foxes", "a fox", "fox. Hope this helps!", "The answer is fox or hen", "answer is", "f o x", "."]
)
def test_anything_else_is_wrong(response: str) -> None:
    assert not is_correct(response, ["fox"])


def test_the_last_conclusion_counts() -> None:
    response = "You might think the answer is 5.\nBut the answer is 6."
    assert is_correct(response, ["6"])
    assert not is_correct(response, ["5"])


def test_a_leading_sign_or_dot_belongs_to_the_answer() -> None:
    assert not is_correct("5", [".5"])
    assert not is_correct("5", ["-5"])
    assert is_correct(".5.", [".5"])


def test_an_answer_of_punctuation_alone_is_kept() -> None:
    assert normalised(" ? ") == "?"
    assert is_correct("?", ["?"])
    assert not is_correct("", ["?"])
    assert not is_correct("!", ["?"])


def test_a_rule_of_mentions_wants_every_part_as_a_whole_word() -> None:
    rule: Any = {"kind": "mentions", "parts": ["red", "sea blue"]}
    assert is_correct("Sea  blue, then RED.", rule)
    assert not is_correct("sea blue, reddish", rule)
    assert not is_correct("red", rule)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"answers": ["a", 3]}, ["a", "3"]),
        ({"answers": "a"}, ["a"]),
        ({"answers": 3}, ["3"]),
        ({"answers": {"kind": "mentions", "parts": ["a"]}}, {"kind": "mentions", "parts": ["a"]}),
        ({"answers": None}, ["reference"]),
        ({}, ["reference"]),
    ],
)
def test_answers_come_from_the_row_or_else_from_its_response(raw: dict[str, Any], expected: Any) -> None:
    row = Row(id="r", messages=(Message(role="assistant", content="reference"),), raw=json.dumps(raw))
    assert accepted_answers(row) == expected


def test_a_row_without_answers_and_without_a_response_has_no_right_answer() -> None:
    assert accepted_answers(Row(id="r", messages=(Message(role="assistant", content=""),))) == []


def test_a_mapping_that_is_no_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="row r"):
        accepted_answers(Row(id="r", messages=(), raw='{"answers": {"x": 1}}'))
