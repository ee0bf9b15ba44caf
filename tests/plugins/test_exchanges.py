"""Conversations as exchanges."""

from __future__ import annotations

from sftbench import Message, Row
from sftbench_plugins.exchanges import Exchange, exchanges


def row(*turns):
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return Row(id="r", messages=tuple(Message(role=roles[turn[0]], content=turn[1:]) for turn in turns))


def test_every_answer_goes_with_all_that_was_said_since_the_one_before():
    found = exchanges(row("sbe kind", "uone", "afirst", "utwo", "umore", "asecond", "athird", "uopen"))
    assert found == [
        Exchange(query="be kind\none", response="first"),
        Exchange(query="two\nmore", response="second"),
        Exchange(query="", response="third"),
    ]


def test_a_row_that_nobody_answered_has_none():
    assert exchanges(row("uone")) == exchanges(row()) == []
