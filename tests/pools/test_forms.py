"""Rows in the three forms become the same messages, and keep everything their source had."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench.pools.forms import compact, form_of, row_of
from sftbench.rooms import Row

TEXT = st.text(max_size=30)
EXCHANGES = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


def read(raw: dict[str, Any], position: int = 0) -> Row:
    return row_of(raw, form_of(raw), position)


def turns(row: Row) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.messages]


@given(TEXT, TEXT, TEXT)
def test_alpaca_joins_a_non_empty_input_on_a_new_line(instruction: str, context: str, output: str) -> None:
    raw = {"instruction": instruction, "input": context, "output": output}
    expected = instruction if context == "" else instruction + "\n" + context
    assert form_of(raw) == "alpaca"
    assert turns(read(raw)) == [("user", expected), ("assistant", output)]


def test_an_input_of_one_space_is_not_empty() -> None:
    assert turns(read({"instruction": "a", "input": " ", "output": "b"}))[0] == ("user", "a\n ")


@given(EXCHANGES, TEXT)
def test_chat_and_sharegpt_give_the_same_messages(exchanges: list[tuple[str, str]], system: str) -> None:
    chat = [{"role": "system", "content": system}]
    sharegpt = [{"from": "system", "value": system}]
    for question, answer in exchanges:
        chat += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        sharegpt += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    expected = [(turn["role"], turn["content"]) for turn in chat]
    assert turns(read({"messages": chat})) == turns(read({"conversations": sharegpt})) == expected
    assert (form_of({"messages": chat}), form_of({"conversations": sharegpt})) == ("messages", "sharegpt")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT, st.lists, max_leaves=5
)
READ = {"messages", "conversations", "instruction", "output", "input", "history", "system", "id", "_id", "_planted"}


@given(st.dictionaries(TEXT.filter(lambda key: key not in READ and key != "_planted_spans"), JSON))
def test_raw_is_the_whole_row_on_one_line_of_json(extra: dict[str, Any]) -> None:
    raw = {**extra, "id": "x", "instruction": "a", "input": None, "output": "b"}
    row = read(raw)
    assert row.original() == raw
    assert "\n" not in row.raw


def test_turns_after_the_last_response_are_left_out_of_the_messages_but_kept_in_raw() -> None:
    raw = {"messages": [{"role": role, "content": role[0]} for role in ("user", "assistant", "user")]}
    row = read(raw)
    assert turns(row) == [("user", "u"), ("assistant", "a")]
    assert row.original() == raw


@pytest.mark.parametrize(
    "raw",
    [
        {"instruction": "a", "input": "", "output": ""},
        {"instruction": "a", "output": None},
        {"messages": [{"role": "user", "content": "a"}]},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": None}]},
    ],
)
def test_a_row_without_a_response_stays_with_an_empty_one(raw: dict[str, Any]) -> None:
    assert turns(read(raw)) == [("user", "a"), ("assistant", "")]
    assert read(raw).response == ""


def test_a_row_with_no_turn_at_all_stays_with_an_empty_response() -> None:
    assert turns(read({"messages": []})) == [("assistant", "")]


def test_history_and_system_of_an_alpaca_row_come_first() -> None:
    raw = {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "s"}
    expected = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert turns(read(raw)) == expected


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [({"id": "x"}, "x"), ({"id": 7}, "7"), ({"_id": "y"}, "y"), ({"id": None}, "row-0000012"), ({}, "row-0000012")],
)
def test_the_id_is_the_given_one_or_made_of_the_position(given_id: dict[str, Any], expected: str) -> None:
    assert read({**given_id, "instruction": "a", "output": "b"}, position=12).id == expected


def test_planted_columns_are_read() -> None:
    row = read({"instruction": "a", "output": "bcd", "_planted": "truncated", "_planted_spans": [[0, 2], [2, 3]]})
    assert (row.planted, row.planted_spans) == ("truncated", ((0, 2), (2, 3)))
    clean = read({"instruction": "a", "output": "bcd", "_planted": None, "_planted_spans": []})
    assert (clean.planted, clean.planted_spans) == (None, ())


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"question": "a", "answer": "b"}, "question, answer"),
        ({}, "(none)"),
        ({"instruction": "a", "response": "b"}, "ShareGPT"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "wizard"),
        ({"messages": [{"text": "a"}]}, "text"),
        ({"messages": ["a"]}, "str"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "'content' is a list"),
        ({"instruction": 5, "output": "b"}, "'instruction' is a int"),
        ({"instruction": "a", "output": "b", "id": {}}, "'id' is a dict"),
        ({"instruction": "a", "output": "b", "history": ["a"]}, "history"),
    ],
)
def test_a_row_in_no_known_form_is_refused_with_what_was_found(raw: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        read(raw)


def test_values_that_json_lacks_become_text_or_are_refused_by_column() -> None:
    row = {"when": datetime(2024, 5, 6, 7), "day": date(2024, 5, 6), "price": Decimal("1.50")}
    assert json.loads(compact(row)) == {"when": "2024-05-06T07:00:00", "day": "2024-05-06", "price": "1.50"}
    with pytest.raises(ValueError, match="column 'image' holds a value of type bytes"):
        compact({"text": "a", "image": {"bytes": b"x"}})
