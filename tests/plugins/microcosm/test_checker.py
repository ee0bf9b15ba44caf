"""The checker of the embedded suite."""

from __future__ import annotations

import pytest

from sftbench_plugins.microcosm.checker import Mentions, is_correct


@pytest.mark.parametrize(
    "response",
    [
        "fox",
        "Fox",
        "  fox \n",
        "fox.",
        '"fox"',
        "The answer is fox.",
        "It barks. The answer is fox.",
        "answer is: Fox!",
    ],
)
def test_a_right_answer_in_any_dress_is_accepted(response: str) -> None:
    assert is_correct(response, ["fox", "otter"])


@pytest.mark.parametrize(
    "response",
    ["", "foxes", "fo", "fox otter", "fox. I hope this helps!", "The answer is fox. Sure!", "The answer is hen. fox"],
)
def test_anything_else_is_refused(response: str) -> None:
    assert not is_correct(response, ["fox", "otter"])


def test_free_text_must_mention_every_part_as_a_whole_word() -> None:
    rule: Mentions = {"kind": "mentions", "parts": ["baker", "red"]}
    assert is_correct("Aldo is a baker and likes red.", rule)
    assert not is_correct("Aldo is a baker.", rule)
    assert not is_correct("Aldo is a baker and tired.", rule)
