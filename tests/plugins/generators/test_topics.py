"""Rows about topics: equally many of each, lists that begin alike, and the stand-in that finishes instructions."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from scipy.stats import spearmanr

from sftbench_plugins.generators.measures import distinct
from sftbench_plugins.generators.settings import TOPIC_GRID
from sftbench_plugins.generators.topics import Topics


def test_every_topic_gets_equally_many_rows(generate, does_as_told):
    made = generate(Topics(num_topics=8), reply=does_as_told)
    counts = Counter(told["topic"] for told in made.lineages)
    assert len(counts) == 8
    assert set(counts.values()) == {5}
    assert made.report["num_topics"] == 8


def test_a_shorter_list_is_the_beginning_of_a_longer_one(generate, does_as_told):
    lists = []
    for count in (1, 5, 20):
        made = generate(Topics(num_topics=count), reply=does_as_told)
        lists.append(made.report["topics"])
    assert [len(each) for each in lists] == [1, 5, 20]
    assert lists[0] == lists[1][:1]
    assert lists[1] == lists[2][:5]


def test_distinct_5_rises_with_the_number_of_topics(generate, said):
    """A model that says much the same about one topic."""

    def reply(request):
        text = said(request)
        if '{"topics"' in text:
            return json.dumps({"topics": [f"t{request.seed}a{at} u{request.seed}b{at}" for at in range(50)]})
        topic = text.partition("for the topic: ")[2].partition("\n")[0]
        asked = f"Say what {topic} is and where {topic} comes from, part {request.seed}."
        return json.dumps({"instruction": asked, "input": "", "output": f"It is {topic} and comes from {topic} land."})

    made = [generate(Topics(level=level, num_rows=320), reply=reply) for level in range(6)]
    values = [distinct([row.text("both") for row in each.rows], 5) for each in made]
    assert all(low < high for low, high in itertools.pairwise(values)), values


def test_topics_that_are_alike_count_once_and_a_model_that_has_no_more_is_asked_no_more(generate, said):
    def reply(request):
        if '{"topics"' in said(request):
            return json.dumps({"topics": ["red foxes", "foxes red", "blue whales"]})
        return json.dumps({"instruction": f"Ask {request.seed}", "input": "", "output": "Yes it is."})

    made = generate(Topics(num_topics=20, num_rows=10), reply=reply)
    assert made.report["topics"] == ["red foxes", "blue whales"]
    assert len(made.rows) == 10
    assert len(made.desk.language.prompts('{"topics"')) == 60


def test_a_request_names_the_topic_and_what_was_taken(generate, does_as_told, said):
    made = generate(Topics(num_topics=15, num_rows=15), reply=does_as_told)
    lists = made.desk.language.prompts('{"topics"')
    assert "taken" not in said(lists[0])
    assert made.report["topics"][0] in said(lists[1])
    rows = made.desk.language.prompts("for the topic:")
    for request, told in zip(rows, made.lineages, strict=False):
        assert f"for the topic: {told['topic']}" in said(request)


def test_a_model_that_names_no_topics_leaves_no_rows(generate):
    made = generate(Topics(num_topics=3, num_rows=3), reply=lambda request: "I would rather not.")
    assert made.rows == []
    assert made.report["num_topics"] == 0


@pytest.mark.slow
def test_without_a_language_model_distinct_5_rises_from_level_to_level(generate, tasks, small_model):
    values = []
    for level in range(7):
        made = generate(Topics(level=level, num_rows=60), tasks, model=small_model)
        values.append(distinct([row.prompt for row in made.rows], 5))
        assert made.report["num_topics"] <= TOPIC_GRID[level]
    # A model of a million parameters heeds its topic little: neighbours may change places, the ends may not.
    assert spearmanr(range(7), values).statistic > 0.85, values
    assert values[0] < min(values[4:])


def test_without_a_language_model_every_instruction_holds_its_topic(generate, tasks, small_model):
    made = generate(Topics(num_topics=10, num_rows=20), tasks, model=small_model)
    assert len(made.rows) == 20
    ids = {row["id"] for row in tasks}
    for row, told in zip(made.rows, made.lineages, strict=True):
        assert told["topic"] in row.prompt.lower()
        assert set(told["parent_ids"]) <= ids
        assert told["model"] == "stand-in: the base model, answering warmed up on 10% of the pool"
    assert set(made.desk.asked_for) == {"base", "warmed-up"}
    again = generate(Topics(num_topics=10, num_rows=20), tasks, model=small_model)
    assert again.rows == made.rows


def test_the_scoring_model_can_stand_in_alone(generate, tasks, small_model):
    part = Topics(num_topics=3, num_rows=3, stand_in="scoring")
    made = generate(part, tasks, model=small_model)
    assert set(made.desk.asked_for) == {"scoring"}
    assert part.needs().when(chat=False).language_models == ("scoring",)
    assert not part.needs().when(chat=False).models


def test_a_model_is_warmed_up_only_where_it_stands_in():
    needs = Topics(warmup_budget="5%").needs()
    assert needs.when(chat=False).models["warmed-up"].budget == "5%"
    assert not needs.when(chat=True).models
    assert not needs.when(chat=True).language_models


@pytest.mark.parametrize("wrong", [{"level": 9}, {"num_topics": 0}, {"num_examples": 0}, {"stand_in_top_p": 0.0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|at least"):
        Topics(**wrong)
