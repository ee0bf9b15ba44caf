"""Prompts of benchmarks in the shapes in which they are published, and answers that others gave to them."""

from __future__ import annotations

import gzip
import json

import pytest

from sftbench.errors import UsageError
from sftbench.pools import apart_from, pool_from_rows, read_answers, read_prompts


def write(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def read(tmp_path, *rows, temperatures=None, limit=None):
    source = write(tmp_path / "prompts.jsonl", rows)
    return read_prompts(source, name="own", temperatures=temperatures or {}, limit=limit)


def turns(row):
    return [(turn["role"], turn["content"]) for turn in row["messages"]]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"instruction": "say", "input": "a"}, [("user", "say\na"), ("assistant", "")]),
        ({"prompt": "say", "reference": "a"}, [("user", "say"), ("assistant", "a")]),
        ({"question": "say", "reference": "a"}, [("user", "say"), ("assistant", "a")]),
        ({"instruction": "say", "output": "a"}, [("user", "say"), ("assistant", "a")]),
        ({"turns": [{"content": "say"}]}, [("user", "say"), ("assistant", "")]),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "say"}]},
            [("system", "s"), ("user", "say"), ("assistant", "")],
        ),
        (
            {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                        {"role": "user", "content": "c"}], "reference": "d"},
            [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
        ),
        (
            {"instruction": "one", "turns": ["one", "two"], "reference": "1", "reference_turns": ["first", "second"]},
            [("user", "one"), ("assistant", "first"), ("user", "two"), ("assistant", "second")],
        ),
    ],
)  # fmt: skip
def test_every_published_shape_becomes_a_dialogue(tmp_path, raw, expected):
    (row,) = read(tmp_path, raw).rows
    assert turns(row) == expected


def test_only_turns_of_the_prompt_are_open_and_not_those_of_a_given_dialogue(tmp_path):
    dialogue = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
    found = read(tmp_path, {"turns": ["one", "two"]}, {"messages": dialogue}, {"prompt": "x"})
    rows = pool_from_rows(found.rows, into=tmp_path / "rows.arrow", key="k")
    assert [row.num_open_turns for row in rows] == [2, 1, 1]
    assert [row.response for row in rows] == ["", "", ""]


def test_a_category_says_how_warm_answers_are_unless_the_prompt_does(tmp_path):
    found = read(
        tmp_path, {"prompt": "a", "category": "writing"}, {"prompt": "b", "category": "maths"},
        {"prompt": "c", "category": "writing", "temperature": 0.2}, temperatures={"writing": 0.7},
    )  # fmt: skip
    assert [row.get("_temperature") for row in found.rows] == [0.7, None, 0.2]


def test_ids_are_kept_or_made_of_the_place(tmp_path):
    found = read(tmp_path, {"prompt": "a"}, {"prompt": "b", "question_id": 81}, {"prompt": "c", "uid": "u"})
    assert [row["id"] for row in found.rows] == ["own-0", "81", "u"]


def test_a_limit_takes_the_first_prompts_and_empty_ones_are_counted(tmp_path):
    found = read(tmp_path, {"prompt": "a"}, {"prompt": "  "}, {"prompt": "c"}, {"prompt": "d"}, limit=2)
    assert [row["id"] for row in found.rows] == ["own-0", "own-2"]
    assert (found.num_in_all, found.num_empty) == (3, 1)


def test_prompts_are_known_by_what_they_are_and_not_by_their_place(tmp_path):
    rows = [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "y"}]
    keys = [
        read_prompts(write(tmp_path / name, rows), name="own", temperatures={}).key
        for name in ("a.jsonl", "b.jsonl.gz")
    ]
    assert keys[0] == keys[1]
    assert read(tmp_path, *rows, limit=1).key != keys[0]
    assert read(tmp_path, rows[0], {"id": "b", "prompt": "z"}).key != keys[0]
    assert read(tmp_path, rows[0], {**rows[1], "temperature": 0.5}).key != keys[0]


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([{"text": "a"}], r"line 1: no prompt among the keys text"),
        ([{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}], r"line 2: the id 'a' was in line 1 already"),
        ([{"prompt": "x", "temperature": -1}], "temperature -1 is not a number of 0 or more"),
        ([{"prompt": "x", "temperature": "hot"}], "temperature 'hot'"),
        ([{"prompt": "x"}, {"prompt": "x", "temperature": float("nan")}], "line 2: temperature nan is not a number"),
        ([{"prompt": "x", "temperature": float("inf")}], "line 1: temperature inf is not a number"),
        ([{"prompt": "x", "temperature": 10**400}], "line 1: temperature 1000.*is not a number"),
        ([{"prompt": "x", "temperature": True}], "line 1: temperature True is not a number"),
        ([{"prompt": 3}], "a turn is a int where text is expected"),
        ([{"prompt": "x", "reference": ["a", "b"]}], "2 references for 1 turns"),
        ([{"prompt": ""}], "has no prompt"),
        ([], "has no prompt"),
        ([{"prompt": "x", "id": [1]}], "line 1: 'id' is a list; an id is text or a number"),
        ([{"prompt": "x", "id": 0.5}], "line 1: 'id' is 0.5; an id is text or a whole number"),
        ([{"prompt": "x"}, {"prompt": "x", "uid": float("nan")}], "line 2: 'uid' is nan; an id is text or a whole"),
        ([{"prompt": "x", "id": 0}, {"prompt": "y", "id": 0.0}], "line 2: the id '0' was in line 1 already"),
    ],
)
def test_a_file_that_holds_no_prompts_is_refused_with_the_line(tmp_path, rows, part):
    with pytest.raises(UsageError, match=part):
        read(tmp_path, *rows)


ASKED = [{"id": "p0", "instruction": "how  many"}, {"id": "p1", "turns": ["one", "two"]}]


@pytest.fixture
def asked(tmp_path):
    return read(tmp_path, *ASKED).rows


@pytest.mark.parametrize(
    "answers",
    [
        [{"id": "p0", "output": "a"}, {"id": "p1", "turns": ["b", "c"]}],
        [{"prompt": "how many", "output": "a"}, {"question": "one", "output": ["b", "c"]}],
        [{"i": 1, "answer": ["b", "c"]}, {"i": 0, "response": "a"}],
        [{"instruction": "how many", "output": "a"}, {"question_id": "p1", "choices": [{"turns": ["b", "c"]}]}],
        [
            {"id": "p0", "text": "a"},
            {"id": "p1", "turns": [{"content": "b"}, {"content": "c"}]},
            {"id": "z", "text": "?"},
        ],
    ],
)
def test_answers_find_their_prompts_by_id_place_or_words(tmp_path, asked, answers):
    found = read_answers(write(tmp_path / "answers.jsonl", answers), None, asked)
    assert found == {"p0": ("a",), "p1": ("b", "c")}


@pytest.mark.parametrize(("of_prompt", "of_answer"), [(0, 0.0), (0.0, 0), ("7", 7.0), (7.0, "7"), (3.0, 3.0)])
def test_a_whole_number_is_one_id_however_it_is_written(tmp_path, of_prompt, of_answer):
    prompts = read(tmp_path, {"id": of_prompt, "prompt": "how many"}).rows
    answers = write(tmp_path / "answers.jsonl", [{"id": of_answer, "output": "a"}])
    assert read_answers(answers, None, prompts) == {str(int(of_prompt)): ("a",)}


def test_one_model_of_several_is_named(tmp_path, asked):
    rows = [{"i": 0, "model": name, "output": name} for name in ("m", "n")]
    source = write(tmp_path / "answers.jsonl", rows)
    assert read_answers(source, "n", asked[:1]) == {"p0": ("n",)}
    with pytest.raises(UsageError, match="has answers of m, n: name one"):
        read_answers(source, None, asked[:1])
    with pytest.raises(UsageError, match="answers 0 of 1 prompts; 'p0' is missing; it has answers of m, n"):
        read_answers(source, "o", asked[:1])


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ([{"id": "p0", "output": "a"}], "answers 1 of 2 prompts; 'p1' is missing"),
        ([{"id": "p0", "output": "a"}, {"i": 0, "output": "b"}], "line 2: a second answer to prompt 'p0'"),
        ([{"id": "p1", "output": "a"}], "line 1: 1 answers to a prompt of 2 turns"),
        ([{"id": "p0", "said": "a"}], "line 1: no answer among the keys id, said"),
        ([{"id": "p0", "output": [3]}], "'output' is a int where text is expected"),
        ([{"id": "p0", "output": "a"}, {"id": 0.5, "output": "b"}], "line 2: 'id' is 0.5; an id is text or a whole"),
    ],
)
def test_a_file_without_every_answer_is_refused(tmp_path, asked, rows, part):
    with pytest.raises(UsageError, match=part):
        read_answers(write(tmp_path / "answers.jsonl", rows), None, asked)


def test_a_row_of_the_pool_that_asks_a_prompt_is_left_out_whatever_it_answers(tmp_path):
    rows = [
        {"instruction": "How many?", "output": "mine"}, {"instruction": "other", "output": "x"},
        {"instruction": "TWO", "output": "y"},
    ]  # fmt: skip
    pool = pool_from_rows(rows, into=tmp_path / "pool.arrow", key="p")
    prompts = read(tmp_path, {"prompt": "how  many?"}, {"turns": ["one", "two"]}).rows
    heldout = pool_from_rows(prompts, into=tmp_path / "heldout.arrow", key="h")
    assert apart_from(pool, heldout, by_prompt=True).tolist() == [1]
    assert apart_from(pool, heldout).tolist() == [0, 1, 2]
