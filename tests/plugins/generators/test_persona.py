"""Rows for different people: who they are, what is shown, and the list that stands in."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest

from sftbench_plugins.generators.measures import distinct
from sftbench_plugins.generators.persona import PersonaDriven
from sftbench_plugins.generators.personas import Words, listed, trades_and_circumstances


def test_rows_are_written_for_one_persona_after_the_other(generate, does_as_told, said):
    made = generate(PersonaDriven(num_personas=8), reply=does_as_told)
    counts = Counter(told["persona"] for told in made.lineages)
    assert len(counts) == 8
    assert set(counts.values()) == {5}
    requests = made.desk.language.prompts("likely to give to an assistant")
    for request, told in zip(requests, made.lineages, strict=False):
        assert f"Person: {told['persona']}" in said(request)
    answers = [each for each in made.desk.language.requests if each.temperature == 0]
    assert {each.messages[-1].content for each in answers} >= {row.prompt for row in made.rows}


def test_personas_are_told_from_rows_and_from_each_other_without_those_that_are_alike(generate, said):
    def reply(request):
        text = said(request)
        if '{"persona"' in text:
            kind = "a friend" if "close relation" in text else "a gardener"
            return json.dumps({"persona": f"{kind} of number {request.seed % 7}"})
        return json.dumps({"instruction": f"Do {request.seed}"}) if "{" in text else "Done it."

    made = generate(PersonaDriven(num_personas=12, num_rows=12), reply=reply)
    assert made.report["num_personas"] == 12
    people = made.report["personas"]
    assert len(set(people)) == 12
    assert any("friend" in each for each in people)
    assert any("gardener" in each for each in people)
    related = made.desk.language.prompts("close relation")
    assert all(any(person in said(each) for person in people) for each in related)


def test_a_shorter_list_of_personas_begins_a_longer_one(generate, does_as_told):
    few, many = (generate(PersonaDriven(num_personas=n), reply=does_as_told).report["personas"] for n in (3, 19))
    assert many[:3] == few


@pytest.mark.parametrize(
    ("shots", "shown", "has_parents"),
    [("zero", "Person: ", False), ("few", "An instruction: Describe", True), ("persona-few", "of this person:", True)],
)
def test_what_a_request_shows(generate, does_as_told, said, shots, shown, has_parents):
    made = generate(PersonaDriven(num_personas=5, shots=shots), reply=does_as_told)
    requests = made.desk.language.prompts("likely to give to an assistant")
    assert all(shown in said(each) for each in requests)
    assert all(bool(told["parent_ids"]) == has_parents for told in made.lineages)
    others = {"An instruction: Describe", "of this person:"} - {shown}
    assert not any(other in said(each) for each in requests for other in others)


def test_an_instruction_too_long_to_be_asked_is_rejected_and_not_sent(generate, does_as_told, said):
    def reply(request):
        text = said(request)
        if "likely to give to an assistant" in text:
            return json.dumps({"instruction": f"Why {request.seed}? " * 200})
        return does_as_told(request)

    made = generate(PersonaDriven(num_personas=3, num_rows=4, max_prompt_characters=1500), reply=reply)
    assert made.report["rejected"] == {"prompt_too_long": 12}
    assert max(len(said(each)) for each in made.desk.language.requests) <= 1500


def test_without_a_language_model_people_of_a_list_ask_what_real_rows_ask(generate, trees):
    made = generate(PersonaDriven(num_personas=20), trees(40, inputs=True))
    rows = {row["id"]: row for row in trees(40, inputs=True)}
    assert len(made.rows) == 40
    for row, told in zip(made.rows, made.lineages, strict=True):
        (parent,) = told["parent_ids"]
        assert row.original()["instruction"] == f"I am {told['persona']}. {rows[parent]['instruction']}"
        assert row.response == rows[parent]["output"]
        assert told["model"] == "stand-in: rules"
    assert len({told["persona"] for told in made.lineages}) == 20


def test_more_rows_than_parents_are_asked_by_others(generate, trees):
    made = generate(PersonaDriven(num_personas=5, num_rows=12), trees(4))
    assert len(made.rows) == 12
    assert len({(told["persona"], told["parent_ids"][0]) for told in made.lineages}) == 12


@pytest.mark.parametrize(("num_personas", "num_parents"), [(5, 4), (4, 6), (6, 6), (1, 5), (7, 2), (12, 8)])
def test_every_person_asks_everything_before_the_rows_run_out_and_all_equally_often(
    generate, trees, num_personas, num_parents
):
    every = num_personas * num_parents
    made = generate(PersonaDriven(num_personas=num_personas, num_rows=every + 5), trees(num_parents))
    assert len({(told["persona"], told["parent_ids"][0]) for told in made.lineages}) == every
    assert len(made.rows) == every, "the same person asks nothing twice"
    assert made.report["rejected"].keys() == {"duplicate"}
    people = [told["persona"] for told in made.lineages]
    assert people == people[:num_personas] * num_parents


def test_distinct_5_rises_with_the_number_of_personas(generate, tasks):
    values = []
    for level in range(7):
        made = generate(PersonaDriven(level=level), tasks)
        values.append(distinct([row.text("both") for row in made.rows], 5))
    assert all(low < high for low, high in itertools.pairwise(values[:6])), values
    # 120 rows have no more than 120 personas, so that the last two levels are nearly the same.
    assert values[6] >= values[5]


def test_the_list_has_a_thousand_different_people_and_its_beginnings_agree():
    people = listed(2000, 0)
    assert len({each.text for each in people}) == len(people) == 1000
    assert listed(10, 0) == people[:10]
    assert listed(10, 1) != people[:10]
    trades, circumstances, _ = trades_and_circumstances()
    assert len(set(trades)) * len(set(circumstances)) == 1000


def test_words_are_compared_with_those_that_share_any():
    known = Words()
    known.add("a nurse on night shifts who reads old maps at home")
    assert known.has_alike("A nurse on night shifts who reads old maps at home")
    assert not known.has_alike("a nurse on day shifts who reads new maps at home")
    assert not known.has_alike("nobody else")


@pytest.mark.parametrize("wrong", [{"level": 8}, {"num_personas": 0}, {"num_examples": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|at least"):
        PersonaDriven(**wrong)
