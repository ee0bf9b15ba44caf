"""Evaluation items out of benchmark files in their shapes."""

from __future__ import annotations

import gzip
import json

import pytest

from sftbench.errors import UsageError
from sftbench.pools import items_key, read_items

LINE = {"question": "Why?", "answer": "So."}


@pytest.fixture
def read(tmp_path):
    def reading(content, name="items.jsonl"):
        path = tmp_path / name
        lines = content if isinstance(content, (str, bytes)) else "".join(json.dumps(each) + "\n" for each in content)
        data = lines.encode() if isinstance(lines, str) else lines
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return read_items(path, into=tmp_path / "items.arrow")

    return reading


def turns(row):
    return [(message.role, message.content) for message in row.messages]


@pytest.mark.parametrize(
    ("raw", "asked", "answered"),
    [
        (LINE, ["Why?"], "So."),
        ({"question": "Q", "choices": ["x y", "z"], "answer": 1}, ["Q"], "x y\nz"),
        ({"question": "Q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "A"}, ["Q"], "x\ny"),
        ({"query": "Q", "choices": ["x", "y"], "gold": 1}, ["Q"], "x\ny"),
        ({"passage": "P", "question": "Q", "options": ["(A)x"], "label": "A"}, ["P", "Q"], "(A)x"),
        ({"task_id": "t/0", "prompt": "def f():", "canonical_solution": "return 1"}, ["def f():"], "return 1"),
        ({"instruction": "I", "reference": "R"}, ["I"], "R"),
        ({"instruction": "first", "turns": ["first", "second"], "reference": ""}, ["first", "second"], ""),
        ({"instruction": "I", "input": "more", "output": "O"}, ["I\nmore"], "O"),
        ({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}, ["u"], "a"),
        ({"question_text": "日本?", "document_title": "t"}, ["日本?"], ""),
        ({"input": "task", "target": "done"}, ["task"], "done"),
    ],
)
def test_what_is_asked_and_what_may_be_answered_is_found(read, raw, asked, answered):
    (row,) = read([raw])
    assert turns(row) == [*(("user", text) for text in asked), ("assistant", answered)]


def test_ids_are_those_of_the_file_while_they_are_unique(read):
    rows = [{**LINE, "id": "a"}, {**LINE, "id": "a"}, {**LINE, "task_id": "t"}, LINE]
    assert read(rows).ids == ["a", "a@1", "t", "item-000003"]


def test_tables_and_objects_that_hold_examples_are_read(read):
    table = '\ufeffType,Question,Best Answer\nx,"Why, then?",So\n'
    for name in ("truth.csv", "truth.csv.gz"):
        assert turns(read(table, name)[0]) == [("user", "Why, then?"), ("assistant", "So")]
    whole = json.dumps(
        {"canary": "c", "examples": [{"input": "a", "target": "b"}, {"input": "c", "target": "d"}]}, indent=1
    )
    assert [turns(each)[0][1] for each in read(whole, "bbh.json")] == ["a", "c"]
    assert [turns(each)[0][1] for each in read(json.dumps([LINE, LINE]), "array.json")] == ["Why?", "Why?"]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (
            [LINE, {"i": 0, "output": "x"}],
            "a.jsonl",
            "line 2: the item has the keys i, output; what is asked is expected",
        ),
        ("{broken", "a.jsonl", "line 1: not valid JSON"),
        ("x", "a.zip", "is an archive; unpack it"),
        ("x", "a.txt", "items are in a .jsonl"),
        ("", "a.jsonl", "is empty"),
        (b"\xff\xfe,x\n", "a.csv", "is not a table that can be read"),
        ('{"examples": [3]}', "a.json", "examples 1: a int where an item"),
    ],
)
def test_what_cannot_be_read_says_why(read, content, name, message):
    with pytest.raises(UsageError, match=message):
        read(content, name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        items_key(tmp_path / "none.jsonl")


def test_the_key_is_that_of_the_content(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps(LINE), encoding="utf-8")
    first = items_key(tmp_path / "a.jsonl")
    assert first == items_key(tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").write_text(json.dumps({**LINE, "answer": "x"}), encoding="utf-8")
    assert first != items_key(tmp_path / "b.jsonl")
