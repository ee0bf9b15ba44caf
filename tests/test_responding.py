"""Answers to dialogues: turn after turn, each after the model's own, and warm where the row says so."""

from __future__ import annotations

import json

import pytest

from sftbench import Message, Row
from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import answer_rows
from sftbench.plan import Step
from sftbench.responding import answers_given, respond, seed_of, up_to_turn

LIMIT = 6


@pytest.fixture(scope="module")
def model(material):
    return LanguageModel.load(material.model)


def dialogue(row_id, *turns, references=(), temperature=0.0):
    """A row whose responses are all open."""
    messages = []
    for at, turn in enumerate(turns):
        messages.append(Message(role="user", content=turn))
        messages.append(Message(role="assistant", content=references[at] if at < len(references) else ""))
    raw = {"_open_turns": len(turns), **({"_temperature": temperature} if temperature else {})}
    return Row(id=row_id, messages=tuple(messages), raw=json.dumps(raw))


def test_a_second_turn_is_answered_after_the_models_own_first(model):
    rows = [dialogue("a", "say red", "and now?", references=("WRONG", "WRONG")), dialogue("b", "say blue")]
    found = respond(model, rows, max_new_tokens=LIMIT)
    (first,) = found.earlier["a"]
    assert set(found.earlier) == {"a"}
    alone = answer_rows(model, [dialogue("a", "say red"), rows[1]], max_new_tokens=LIMIT)
    assert [first, found.texts[1]] == [each.text for each in alone]
    shown = Row(
        id="a",
        messages=(
            Message(role="user", content="say red"), Message(role="assistant", content=first),
            Message(role="user", content="and now?"), Message(role="assistant", content=""),
        ),
    )  # fmt: skip
    (second,) = answer_rows(model, [shown], max_new_tokens=LIMIT)
    assert found.texts[0] == second.text


def test_a_given_dialogue_keeps_its_answers(model):
    messages = [Message(role="user", content="a"), Message(role="assistant", content="b")] * 2
    row = Row(id="x", messages=tuple(messages))
    assert up_to_turn(row, []) == row
    assert respond(model, [row], max_new_tokens=LIMIT).earlier == {}


def test_warm_answers_depend_on_the_row_and_on_nothing_beside_it(model):
    rows = [dialogue(name, "say red", "again", temperature=0.7) for name in ("a", "b")] + [dialogue("c", "say red")]
    together, turned = respond(model, rows, max_new_tokens=LIMIT), respond(model, rows[::-1], max_new_tokens=LIMIT)
    by_id = {
        row_id: (together.earlier.get(row_id), text) for row_id, text in zip(together.ids, together.texts, strict=True)
    }
    assert by_id == {at: (turned.earlier.get(at), text) for at, text in zip(turned.ids, turned.texts, strict=True)}
    # Two rows with the same words are drawn apart, and the cold one is the likeliest.
    assert by_id["a"] != by_id["b"]
    (cold,) = answer_rows(model, [rows[2]], max_new_tokens=LIMIT)
    assert by_id["c"] == (None, cold.text)


def test_seeds_differ_by_row_and_turn():
    seeds = {seed_of(row, turn) for row in ("a", "b", "a1") for turn in (0, 1)}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_every_answer_is_counted(model):
    counted = []
    rows = [dialogue("a", "x", "y"), dialogue("b", "z", temperature=0.5)]
    respond(model, rows, max_new_tokens=LIMIT, advance=counted.append)
    assert sum(counted) == 3


def test_references_or_a_file_may_answer(tmp_path):
    rows = [dialogue("a", "x", "y", references=("one", "two")), dialogue("b", "z", references=("three",))]
    found = answers_given(Step(room="responses", label="", identity={}), rows)
    assert (found.texts, found.earlier) == (("two", "three"), {"a": ("one",)})
    path = tmp_path / "answers.jsonl"
    answers = [{"id": "b", "output": "B"}, {"id": "a", "turns": ["A1", "A2"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in answers))
    step = Step(room="responses", label="", identity={}, where={"source": str(path), "model": ""})
    found = answers_given(step, rows)
    assert (found.ids, found.texts, found.earlier) == (("a", "b"), ("A2", "B"), {"a": ("A1",)})
