"""Files as they are handed on, brought into the harness's form: the reference data, and what they must give."""

from __future__ import annotations

import csv
import gzip
import json
import zipfile

import pytest

from sftbench import UsageError
from sftbench_plugins.harness_tasks import forms
from sftbench_plugins.harness_tasks.asking import TOKENTUNE, TSHIRT
from sftbench_plugins.harness_tasks.benchmarks import KNOWN
from sftbench_plugins.harness_tasks.files import find, read_rows


@pytest.fixture(scope="module")
def data(reference_data):
    return reference_data / "data" / "eval"


@pytest.fixture(scope="module")
def tasks(data):
    return {name: each.tasks(files) for name, each in KNOWN.items() if (files := each.found(data))}


COUNTS = {
    "arc_challenge": (1, 1172), "hellaswag": (1, 1000), "boolq": (1, 3270), "gsm8k": (1, 1319),
    "truthfulqa_mc1": (1, 817), "truthfulqa_mc2": (1, 817), "mmlu": (57, 14042), "leaderboard_bbh": (24, 5761),
    "logiqa": (1, 651), "humaneval": (1, 164), "tydiqa": (4, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_the_reference_data_has_every_item(tasks, name):
    found = tasks[name]
    assert (len(found), sum(len(rows.scored) for rows in found.values())) == COUNTS[name]


def test_both_papers_are_covered():
    assert {each.name for each in (*TSHIRT, *TOKENTUNE)} <= set(KNOWN)
    assert set(COUNTS) == set(KNOWN)


def test_mmlu_has_five_examples_of_each_subject(tasks):
    assert {len(rows.shots) for rows in tasks["mmlu"].values()} == {5}


def test_arc_items_have_a_right_choice_among_theirs(tasks):
    rows = tasks["arc_challenge"]["arc_challenge"]
    for doc in (*rows.scored, *rows.shots):
        assert doc["answerKey"] in doc["choices"]["label"]
        assert not doc["question"].startswith("Question:")
    assert len(rows.shots) == 299
    assert rows.from_validation


def test_logiqa_options_have_lost_their_letters(tasks):
    first = tasks["logiqa"]["logiqa"].scored[0]
    assert first["options"][0] == "Civic Park is north of the administrative service area"
    assert {doc["label"] for doc in tasks["logiqa"]["logiqa"].scored} == set("abcd")


def test_truthful_answers_come_first_and_are_marked(tasks):
    for doc in tasks["truthfulqa_mc2"]["truthfulqa_mc2"].scored:
        labels = doc["mc2_targets"]["labels"]
        assert labels == sorted(labels, reverse=True)
        assert {0, 1} == set(labels)
        assert len(doc["mc2_targets"]["choices"]) == len(labels)
        assert sum(doc["mc1_targets"]["labels"]) == 1


def test_tydiqa_answers_stand_in_their_passages(tasks):
    for rows in tasks["tydiqa"].values():
        for doc in (*rows.scored, *rows.shots):
            assert all(answer and answer in doc["context"] for answer in doc["answers"])
            assert "language" not in doc


NO_CHOICE = {
    "leaderboard_bbh_movie_recommendation": {"Monsters, Inc"},
    "leaderboard_bbh_ruin_names": {"dearth, wind, & fire", "rita, sue and bob poo"},
}
"""Answers of three items of the authors' archive that no choice stands for: the harness counts them as wrong."""


def test_bbh_answers_are_choices_of_the_harness(data, tasks):
    from sftbench_plugins.harness_tasks import building

    files = {f"leaderboard_bbh:{role}": path for role, path in KNOWN["leaderboard_bbh"].found(data).items()}
    built = building.of_files([each for each in TSHIRT if each.name == "leaderboard_bbh"], files, {})
    for name, task in built.tasks.items():
        choices = set(task.doc_to_choice(task.eval_docs[0]))
        answers = {row["target"] for row in tasks["leaderboard_bbh"][name].scored}
        assert answers - choices == NO_CHOICE.get(name, set()), name
        assert task.get_config("num_fewshot") == 3
        assert len(list(task.fewshot_docs())) == 3


def test_hub_forms_are_known_too():
    row = {"id": "a", "question": "q", "choices": {"text": ["x"], "label": ["A"]}, "answerKey": "A", "more": 1}
    assert forms.arc(row) == {name: row[name] for name in ("id", "question", "choices", "answerKey")}
    assert forms.boolq({"passage": "p", "question": "q", "label": 1})["label"] == 1
    hub = {"ctx_a": "He runs [substeps] fast.", "ctx_b": "the man", "activity_label": "Sport", "endings": ["x [b] y"],
           "label": "0"}  # fmt: skip
    assert forms.hellaswag(hub) == {"query": "Sport: He runs fast. The man", "choices": ["x y"], "label": 0}
    squad = {"data": [{"title": "T", "paragraphs": [{"context": "abc", "qas": [
        {"id": "finnish-1", "question": "q", "answers": [{"text": "b"}]},
        {"id": "thai-1", "question": "q", "answers": [{"text": "b"}]}]}]}]}  # fmt: skip
    (doc,) = forms.tydiqa([squad])
    assert (doc["language"], doc["answers"]) == ("finnish", ["b"])


def test_rows_are_read_from_every_kind_of_file(tmp_path):
    rows = [{"a": "1"}, {"a": "zwei"}]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (tmp_path / "list.json").write_text(json.dumps(rows))
    with gzip.open(tmp_path / "packed.jsonl.gz", "wt") as stream:
        stream.writelines(json.dumps(each) + "\n" for each in rows)
    with (tmp_path / "table.csv").open("w", encoding="utf-8-sig", newline="") as table:
        writer = csv.DictWriter(table, ["a"])
        writer.writeheader()
        writer.writerows(rows)
    for name in ("lines", "list", "packed", "table"):
        path = find(tmp_path, ("missing", name))
        assert path is not None
        assert read_rows(path) == rows, name
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("folder/one.json", json.dumps({"b": 2}))
        archive.writestr("folder/readme.txt", "no")
    assert read_rows(tmp_path / "archive.zip") == [{"file": "one", "b": 2}]


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", b""), ("a.jsonl", b"[1]\n"), ("a.jsonl.gz", b"no gzip")])
def test_files_that_are_none_are_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=name):
        read_rows(tmp_path / name)
