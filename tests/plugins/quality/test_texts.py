"""What a quality model is shown: pairs, labelled texts, and one or all exchanges of a conversation."""

from __future__ import annotations

import pytest

from sftbench_plugins.quality.texts import Shown, answered, asked, shown

ALPACA = {"id": "a", "instruction": "Translate", "input": "Hund", "output": "dog"}
PLAIN = {"id": "p", "instruction": "Say hello", "input": "", "output": "Hello"}
TALK = ["who?", "me", "why?", "so", "when?", "now"]


@pytest.fixture
def row_of(make_pool):
    return lambda given: make_pool([given])[0]


def test_a_pair_is_question_and_answer(row_of):
    assert shown(row_of(ALPACA), "pair", "all") == Shown(first="Translate\nHund", second="dog")
    assert shown(row_of(PLAIN), "pair", "all") == Shown(first="Say hello", second="Hello")


def test_a_labelled_text_has_instruction_and_input_apart_as_the_authors_write_it(row_of):
    assert shown(row_of(ALPACA), "labelled", "all").first == "Instruction: Translate Input: Hund Response: dog"
    assert shown(row_of(PLAIN), "labelled", "all").first == "Instruction: Say hello Input:  Response: Hello"


def test_a_row_that_never_had_them_apart_has_its_question_as_instruction(row_of):
    expected = "Instruction: who? Input:  Response: me"
    assert shown(row_of(TALK), "labelled", "first").first == expected
    with_system = {"id": "s", "system": "Be brief", **{k: v for k, v in ALPACA.items() if k != "id"}}
    assert shown(row_of(with_system), "labelled", "all").first == (
        "Instruction: Be brief\nTranslate\nHund Input:  Response: dog"
    )


@pytest.mark.parametrize(
    ("turns", "question", "answer"),
    [("first", "who?", "me"), ("last", "when?", "now"), ("all", "who?\nwhy?\nwhen?", "me\nso\nnow")],
)
def test_of_a_conversation_one_exchange_or_all_are_read(row_of, turns, question, answer):
    row = row_of(TALK)
    assert shown(row, "pair", turns) == Shown(first=question, second=answer)
    assert (asked(row, turns), answered(row, turns)) == (question, answer)


def test_rows_that_lack_a_side_are_texts_all_the_same(row_of):
    assert shown(row_of(["", "unasked"]), "pair", "all") == Shown(first="", second="unasked")
    assert answered(row_of(["nobody answers"]), "all") == ""
