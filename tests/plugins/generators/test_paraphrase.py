"""Paraphrases: the share that is replaced, what a language model is told, and the levels of diversity."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest

from sftbench_plugins.generators.measures import distinct
from sftbench_plugins.generators.paraphrase import Paraphrase, tasks
from sftbench_plugins.generators.settings import REPLACED_GRID


def variety(made):
    return distinct([row.text("both") for row in made.rows], 5)


def kinds(made):
    return Counter(told["kind"] for told in made.lineages)


def prompts(made, kind):
    return {row.prompt for row, told in zip(made.rows, made.lineages, strict=True) if told["kind"] == kind}


@pytest.mark.parametrize("share", [*REPLACED_GRID, 0.5, 1 / 3])
@pytest.mark.parametrize("per_source", [1, 3, 10])
def test_any_beginning_has_the_share_of_paraphrases_and_every_source_its_number(share, per_source):
    listed = list(itertools.islice(tasks(share, per_source), 1000))
    assert [task.number for task in listed] == list(range(1000))
    copies = [task for task in listed if task.copy]
    for end in (1, 7, 60, 1000):
        assert abs(sum(task.copy > 0 for task in listed[:end]) - share * end) < 1
    assert [task.source for task in listed if not task.copy] == list(range(1000 - len(copies)))
    full = Counter(task.source for task in copies[: len(copies) // per_source * per_source])
    assert set(full.values()) <= {per_source}
    assert all(sorted(t.copy for t in group) == list(range(1, per_source + 1)) for group in _groups(copies, per_source))


def _groups(copies, size):
    return [copies[at : at + size] for at in range(0, len(copies) - size + 1, size)]


@pytest.mark.parametrize("rules", [True, False])
def test_distinct_5_rises_from_level_to_level(generate, does_as_told, tasks, rules):
    made = [generate(Paraphrase(level=level), tasks, reply=None if rules else does_as_told) for level in range(7)]
    assert all(len(each.rows) == 120 for each in made)
    values = [variety(each) for each in made]
    assert all(low < high for low, high in itertools.pairwise(values)), values
    for each, share in zip(made, REPLACED_GRID, strict=True):
        assert kinds(each)["paraphrase"] == pytest.approx(share * 120, abs=1)
        assert each.report["replaced_share"] == share


def test_levels_share_their_new_rows_and_their_paraphrases(generate, does_as_told, tasks):
    """A sweep needs the most varied set and one bank of paraphrases."""
    most, some = (generate(Paraphrase(level=level), tasks, reply=does_as_told) for level in (6, 3))
    questions = {row.prompt for row in most.rows}
    assert all(
        row.prompt in questions for row, told in zip(some.rows, some.lineages, strict=True) if told["kind"] == "new"
    )
    less = generate(Paraphrase(level=1), tasks, reply=does_as_told)
    bank = {row.prompt for row, told in zip(less.rows, less.lineages, strict=True) if told["kind"] == "paraphrase"}
    assert {
        row.prompt for row, told in zip(some.rows, some.lineages, strict=True) if told["kind"] == "paraphrase"
    } <= bank


def test_by_rules_the_response_and_the_input_stay(generate, trees):
    made = generate(Paraphrase(level=2), trees(40, inputs=True))
    rows = {row["id"]: row for row in trees(40, inputs=True)}
    for each, told in zip(made.rows, made.lineages, strict=True):
        (parent,) = told["parent_ids"]
        original = each.original()
        assert original["output"] == rows[parent]["output"]
        assert original["input"] == rows[parent]["input"]
        assert original["instruction"] != rows[parent]["instruction"]
        assert told["model"] == "stand-in: rules"
    assert made.desk.stand_ins == ["real rows asked in other words by rules; nothing new is asked, the responses stay"]
    assert made.report["stand_in"] == made.desk.stand_ins[0]


def test_by_rules_more_rows_than_parents_are_their_next_rewritings(generate, trees):
    made = generate(Paraphrase(level=6, num_rows=20), trees(4))
    assert len(made.rows) == 20
    assert Counter(told["parent_ids"][0] for told in made.lineages) == dict.fromkeys(("r0", "r1", "r2", "r3"), 5)


def test_rewritings_that_run_out_leave_the_pool_short(generate, trees):
    made = generate(Paraphrase(level=6, num_rows=400), trees(2))
    assert 20 < len(made.rows) < 400
    assert made.report["rejected"]["no_other_words"] > 0


def test_a_planted_defect_is_inherited_with_the_response(generate, trees):
    rows = trees(10)
    rows[3] |= {"_planted": "wrong_answer", "_planted_spans": [[4, 10]]}
    made = generate(Paraphrase(level=6), rows)
    (spoilt,) = [row for row in made.rows if row.planted]
    assert spoilt.planted_spans == ((4, 10),)
    assert spoilt.original()["lineage"]["parent_ids"] == ["r3"]


def test_the_last_question_of_a_conversation_is_rewritten_or_none(generate):
    turns = [("system", "be brief"), ("user", "Name a tree."), ("assistant", "Elm."), ("user", "Name another one.")]
    row = {"messages": [{"role": role, "content": text} for role, text in [*turns, ("assistant", "Birch.")]]}
    made = generate(Paraphrase(level=6, num_rows=1), [row])
    assert [each.role for each in made.rows[0].messages] == ["system", "user", "assistant", "user", "assistant"]
    assert made.rows[0].messages[1].content == "Name a tree."
    assert made.rows[0].messages[3].content != "Name another one."
    assert "ame another one." in made.rows[0].messages[3].content
    single = {"messages": [{"role": role, "content": text} for role, text in (*turns[1:2], ("assistant", "Oak."))]}
    skipped = generate(Paraphrase(level=6, num_rows=2, turns="skip"), [row, single])
    assert all(len(each.messages) == 2 for each in skipped.rows)
    assert skipped.report["notes"] == {"no_parent_multi_turn": 1}


def test_a_language_model_is_told_the_earlier_paraphrases_of_a_row(generate, does_as_told, said):
    made = generate(Paraphrase(level=0, num_rows=22), reply=does_as_told)
    requests = [each for each in made.desk.language.requests if "once more" in said(each)]
    assert {each.temperature for each in requests} == {0.7}
    by_source = Counter(said(each).partition("<answer>")[0].partition("taken")[0] for each in requests)
    assert max(by_source.values()) == 10
    told = [said(each).count("Please deal with") for each in requests]
    assert sorted(told)[-1] == 9
    new = [each for each in made.desk.language.requests if each not in requests]
    assert {each.temperature for each in new} == {1.0}
    rows = {row.id: row for row in made.rows}
    for row, lineage in zip(made.rows, made.lineages, strict=True):
        if lineage["kind"] == "paraphrase":
            (source,) = lineage["parent_ids"]
            assert rows[source].response == row.response


def test_a_new_row_about_a_text_keeps_the_text_and_takes_its_answer_from_it(generate, trees):
    rows = [each for each in trees(40, inputs=True) if each["input"]]

    def reply(request):
        answer = "the gardener of the OLD school." if request.seed % 2 else "somebody unknown"
        return json.dumps({"instruction": f"Who planted it, question {request.seed}?", "input": "x", "output": answer})

    made = generate(Paraphrase(level=6, num_rows=6), rows, reply=reply)
    inputs = {each["input"] for each in rows}
    assert {row.original()["input"] for row in made.rows} <= inputs
    assert all("OLD school" in row.response for row in made.rows)
    assert made.report["rejected"] == {"unsupported_answer": made.report["num_attempts"] - 6}


def test_a_paraphrase_of_a_row_that_failed_is_rejected_without_asking(generate):
    made = generate(Paraphrase(level=0, num_rows=20), reply=lambda request: "nonsense")
    assert set(made.report["rejected"]) == {"parse_error", "no_source"}
    assert made.rows == []


@pytest.mark.parametrize("wrong", [{"level": 7}, {"level": -1}, {"replaced_share": 1.0}, {"paraphrases_per_source": 0}])
def test_levels_and_shares_that_do_not_exist_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|at least"):
        Paraphrase(**wrong)
