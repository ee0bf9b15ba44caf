"""Answer files in the shapes that they come in, and their items brought together."""

from __future__ import annotations

import json

import pytest

from sftbench.errors import UsageError
from sftbench.judging.aligning import align
from sftbench.judging.answer_files import read_answer_file
from sftbench.pools.prompts import prompt_lines

from .conftest import write_lines


@pytest.fixture
def aligned(tmp_path):
    """Two lists of answers brought together, with prompts if there are any."""

    def bring(mine, theirs, prompts=None):
        files = [read_answer_file(write_lines(tmp_path / f"{name}.jsonl", rows)) for name, rows in
                 (("mine", mine), ("theirs", theirs))]  # fmt: skip
        asked = write_lines(tmp_path / "prompts.jsonl", prompts) if prompts else None
        return align(*files, list(prompt_lines(str(asked))) if asked else None)

    return bring


SHAPES = {
    "plain": {"id": 7, "instruction": "q", "output": "a"},
    "with context": {"id": 7, "instruction": "q", "input": "", "answer": "a"},
    "by question": {"question_id": 7, "question": "q", "response": "a"},
    "AlpacaEval": {"instruction": "q", "output": "a", "generator": "g", "dataset": "helpful_base"},
    "messages": {"uid": "7", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
    "Arena-Hard": {"uid": "7", "model": "g", "messages": [{"role": "user", "content": "q"},
                                                         {"role": "assistant", "content": {"answer": "a"}}]},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_is_read_in_every_shape(tmp_path, shape):
    row = SHAPES[shape]
    found = read_answer_file(write_lines(tmp_path / "some.model.jsonl", [row]))
    (answer,) = found.answers
    assert (answer.texts, answer.instruction) == (("a",), "q")
    assert answer.id == (None if shape == "AlpacaEval" else "7")
    assert found.model == row.get("generator", row.get("model", "some"))


def test_a_json_array_and_several_turns_are_read(tmp_path):
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps([{"question_id": 1, "choices": [{"turns": ["one", "two"]}]}], indent=1))
    assert read_answer_file(path).answers[0].texts == ("one", "two")
    path.write_text(json.dumps([{"question_id": 1, "choices": [{"turns": [{"content": "one"}]}]}]))
    assert read_answer_file(path).answers[0].texts == ("one",)


def test_items_are_brought_together_by_id_whatever_their_order(aligned):
    mine = [{"id": at, "instruction": f"q{at}", "output": f"m{at}"} for at in (2, 0, 1)]
    theirs = [{"id": str(at), "output": f"t{at}"} for at in (0, 1, 3, 2)]
    theirs[2]["instruction"] = "q3"
    found = aligned(mine, theirs)
    assert [(row.id, row.prompt) for row in found.rows] == [("2", "q2"), ("0", "q0"), ("1", "q1"), ("3", "q3")]
    assert dict(zip(found.model.ids, found.model.texts, strict=True)) == {"0": "m0", "1": "m1", "2": "m2"}
    assert dict(zip(found.baseline.ids, found.baseline.texts, strict=True))["3"] == "t3"
    assert found.num_missing == (1, 0)


def test_without_ids_they_are_brought_together_by_instruction(aligned):
    mine = [{"instruction": "b", "output": "mb"}, {"instruction": "a", "output": "ma"}]
    theirs = [{"id": "x", "instruction": "a", "output": "ta"}, {"id": "y", "instruction": "b", "output": "tb"}]
    found = aligned(mine, theirs)
    assert [(row.id, row.prompt) for row in found.rows] == [("y", "b"), ("x", "a")]
    assert found.baseline.ids == ("x", "y")


def test_prompts_say_what_is_judged_in_which_order_and_with_which_reference(aligned):
    prompts = [{"id": at, "instruction": f"q{at}", "reference": f"r{at}", "category": "c"} for at in range(3)]
    found = aligned([{"id": 1, "output": "m"}], [{"id": 0, "output": "t"}, {"id": 1, "output": "u"}], prompts)
    assert [(row.id, row.prompt, row.response) for row in found.rows] == [
        ("0", "q0", "r0"), ("1", "q1", "r1"), ("2", "q2", "r2"),
    ]  # fmt: skip
    assert found.rows[0].original()["category"] == "c"
    assert found.num_missing == (2, 1)


def test_earlier_answers_go_with_the_last(aligned):
    row = {"id": 1, "choices": [{"turns": ["one", "two"]}]}
    found = aligned([row], [row], [{"id": 1, "turns": ["q1", "q2"]}])
    assert (found.model.texts, found.model.earlier) == (("two",), {"1": ("one",)})


@pytest.mark.parametrize(
    "prompt",
    [
        {"turns": ["q1", "q2"], "reference": ["r1", "r2"]},
        {"prompt": ["q1", "q2"], "reference": ["r1", "r2"]},
        {"instruction": "q1", "turns": ["q1", "q2"], "reference": "r1", "reference_turns": ["r1", "r2"]},
    ],
    ids=["own", "hub", "reference data"],
)
@pytest.mark.parametrize("num_answered", [1, 2])
def test_prompts_of_several_turns_are_open_where_they_were_answered(aligned, prompt, num_answered):
    row = {"id": 1, "choices": [{"turns": ["one", "two"][:num_answered]}]}
    (found,) = aligned([row], [row], [{"id": 1, **prompt}]).rows
    said = [(message.role, message.content) for message in found.messages]
    assert said == [("user", "q1"), ("assistant", "r1"), ("user", "q2"), ("assistant", "r2")][: 2 * num_answered]
    assert found.num_open_turns == num_answered


def test_turns_that_are_no_text_are_refused_with_the_line(aligned):
    row = {"id": 1, "output": "a"}
    with pytest.raises(UsageError, match=r"prompts.jsonl, line 1: 2 references for 1 turns"):
        aligned([row], [row], [{"id": 1, "turns": ["q"], "reference": ["a", "b"]}])


GOOD = {"id": 0, "instruction": "q", "output": "a"}


@pytest.mark.parametrize(
    ("mine", "theirs", "words"),
    [
        ([GOOD, GOOD], [GOOD], "mine.jsonl, line 2: the id '0' was there before, in line 1"),
        ([GOOD], [GOOD, {**GOOD, "id": "0"}], "theirs.jsonl, line 2: the id '0' was there before"),
        ([{"instruction": "q", "output": "a"}] * 2, [GOOD], "line 2: the instruction 'q' was there before"),
        ([GOOD], [{**GOOD, "instruction": "other"}], "line 1: another instruction than in"),
        ([GOOD], [{**GOOD, "id": 1}], "have no item in common; they were compared by id"),
        ([{"id": 0, "output": "a"}], [{"id": 0, "output": "b"}], "no instruction for the id '0'; give the prompts"),
        ([{"id": 0, "output": "a"}], [{"instruction": "q", "output": "b"}], "mine.jsonl, line 1: no instruction"),
        ([{"id": 0}], [GOOD], "mine.jsonl, line 1: no answer among the keys id; expected one of output"),
        ([{"output": "a"}], [GOOD], "line 1: neither an id"),
        ([{**GOOD, "output": 3}], [GOOD], "line 1: 'output' is a int where text is expected"),
        ([{**GOOD, "id": [1]}], [GOOD], "line 1: 'id' is a list"),
        ([{**GOOD, "generator": "g"}, {**GOOD, "id": 1, "generator": "h"}], [GOOD], "answers of 2 models, g, h"),
        ([], [GOOD], "mine.jsonl holds no answers"),
    ],
)
def test_what_cannot_be_brought_together_is_refused_with_its_line(aligned, mine, theirs, words):
    with pytest.raises(UsageError) as problem:
        aligned(mine, theirs)
    assert words in str(problem.value)


def test_turns_that_are_answers_are_taken_for_no_question(aligned):
    row = {"id": 1, "turns": ["one", "two"]}
    found = aligned([row], [{"id": 1, "instruction": "q", "output": "a"}])
    assert (found.rows[0].prompt, found.model.texts) == ("q", ("two",))


def test_a_dialogue_that_was_begun_is_judged_as_one(aligned):
    """As a suite of prompts has it: what was said before is no question."""
    begun = [{"role": role, "content": role[0]} for role in ("user", "assistant", "user")]
    answered = [{"messages": [*begun, {"role": "assistant", "content": text}]} for text in ("m", "t")]
    found = aligned(answered[:1], answered[1:], [{"messages": begun, "reference": "r"}])
    (row,) = found.rows
    assert [message.content for message in row.messages] == ["u", "a", "u", "r"]
    assert (row.num_open_turns, found.model.texts, found.baseline.texts) == (1, ("m",), ("t",))


def test_an_answer_to_no_prompt_and_a_prompt_without_text_are_refused(aligned):
    with pytest.raises(UsageError, match="line 1: its id is in none of the prompts"):
        aligned([GOOD], [GOOD], [{**GOOD, "id": 5}])
    with pytest.raises(UsageError, match=r"prompts.jsonl, line 1: no prompt among the keys id: expected inst"):
        aligned([GOOD], [GOOD], [{"id": 0}])
