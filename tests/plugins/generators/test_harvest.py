"""Every attempt is kept or rejected for a reason; nothing is padded, and an endpoint that is gone ends the step."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import EnvironmentProblem, SftbenchError
from sftbench_plugins.generators.closeness import Closeness
from sftbench_plugins.generators.paraphrase import Paraphrase


def row(instruction="Name a tree.", output="An elm.", context=""):
    return json.dumps({"instruction": instruction, "input": context, "output": output})


def fresh(request):
    """A new row for every request."""
    return row(f"Name tree {request.seed}.", f"Tree {request.seed} is an elm.")


PART = Paraphrase(level=6, num_rows=8)


def test_rows_have_ids_of_their_own_and_a_whole_lineage(generate):
    made = generate(Paraphrase(level=6, num_rows=8, licence="CC0"), reply=fresh)
    assert len({row.id for row in made.rows}) == 8
    for each, told in zip(made.rows, made.lineages, strict=True):
        assert each.id.startswith("paraphrase-")
        assert told["model"] == "fake-model"
        assert told["licence"] == "CC0"
        assert told["generator"] == f"paraphrase@{Paraphrase.version}"
        assert told["prompt_hash"] == made.report["prompts"][told["prompt_id"]]
        assert told["prompt_id"] in ("new-row@1", "new-row-in-context@1")
        assert isinstance(told["seed"], int)
        assert set(told["parent_ids"]) <= {f"r{at}" for at in range(40)}
        assert told["parent_ids"]
    assert made.report["prompts"].keys() == {"new-row@1", "new-row-in-context@1", "paraphrase@1"}
    assert all(len(digest) == 16 for digest in made.report["prompts"].values())


def test_rows_come_in_the_form_of_the_pool(generate):
    alpaca = generate(PART, reply=fresh)
    assert {"instruction", "input", "output", "lineage"} == set(alpaca.rows[0].original())
    turns = [{"role": "user", "content": "say"}, {"role": "assistant", "content": "this"}]
    chat = generate(PART, [{"id": str(at), "messages": turns} for at in range(5)], reply=fresh)
    assert {"messages", "lineage"} == set(chat.rows[0].original())
    talk = [{"from": "human", "value": "say"}, {"from": "gpt", "value": "this"}]
    sharegpt = generate(PART, [{"id": str(at), "conversations": talk} for at in range(5)], reply=fresh)
    assert sharegpt.rows[0].original()["conversations"][1]["from"] == "gpt"
    assert sharegpt.rows[0].messages[0].role == "user"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty_response"),
        (row(output="  "), "empty_response"),
        (row(instruction=""), "empty_instruction"),
        ("no JSON at all", "parse_error"),
        ('{"instruction": "a", "input": "", ', "parse_error"),
        ('{"instruction": ["a"], "input": "", "output": "b"}', "parse_error"),
        ("[1, 2]", "parse_error"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_reason_after_two_more_tries(generate, answer, reason):
    def reply(request):
        return answer if request.seed % 2 else fresh(request)

    made = generate(PART, reply=lambda request: answer)
    assert not made.rows
    assert made.report["rejected"] == {reason: 24}
    assert made.report["acceptance_rate"] == 0
    assert len(made.desk.language.requests) == 24 * 3
    seeds = [each.seed for each in made.desk.language.requests[:3]]
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]
    # One of three tries is enough.
    assert len(generate(PART, reply=reply).rows) == 8


def test_a_response_of_too_few_words_is_rejected_only_where_that_is_wished(generate):
    def short(request):
        return row(f"Name tree {request.seed}.", "Elm.")

    assert len(generate(PART, reply=short).rows) == 8
    made = generate(Paraphrase(level=6, num_rows=8, min_response_words=2), reply=short)
    assert made.report["rejected"] == {"too_short": 24}


def test_a_duplicate_is_rejected_and_never_fills_the_pool(generate):
    made = generate(PART, reply=lambda request: row(f"Name tree {request.seed % 3}.", f"Elm {request.seed}."))
    assert len(made.rows) == 3
    assert made.num_wanted == 8
    assert made.report["rejected"] == {"duplicate": 21}
    assert made.report["num_attempts"] == 24


def test_what_a_real_row_asks_is_no_new_row_whatever_its_capitals(generate):
    asked = "DESCRIBE the leaves  of the alder tree number 0."
    made = generate(PART, reply=lambda request: row(asked, f"Green, {request.seed}."))
    assert made.report["rejected"] == {"duplicate": 24}


def test_a_model_error_now_and_then_is_counted_and_made_up_for(generate):
    made = generate(PART, reply=lambda request: None if request.seed % 2 else fresh(request))
    assert len(made.rows) == 8
    assert made.report["rejected"]["model_error"] == made.report["num_attempts"] - 8 > 0


def test_an_endpoint_that_answers_nothing_ends_the_step_so_that_it_is_tried_again(generate):
    with pytest.raises(EnvironmentProblem, match="run again"):
        generate(PART, reply=lambda request: None)


def test_after_an_interruption_only_what_was_not_answered_is_asked(generate):
    """A chat remembers its answers; so the same questions must come again, in whatever state the first run ended."""
    answers = {}

    def breaks_down(request):
        if len(answers) >= 50:
            raise EnvironmentProblem("nothing answers")
        return answers.setdefault((request.messages, request.seed), fresh(request))

    part = Paraphrase(level=3, num_rows=60)
    with pytest.raises(EnvironmentProblem):
        generate(part, reply=breaks_down)
    new = []

    def goes_on(request):
        if (request.messages, request.seed) in answers:
            return answers[request.messages, request.seed]
        new.append(request)
        return fresh(request)

    resumed, whole = generate(part, reply=goes_on), generate(part, reply=fresh)
    assert resumed.rows == whole.rows
    assert len(new) == len(whole.desk.language.requests) - 50


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(generate):
    first, again, other = (generate(PART, reply=fresh, seed=seed) for seed in (1, 1, 2))
    assert first.rows == again.rows
    assert first.report == again.report
    assert {row.id for row in first.rows}.isdisjoint(row.id for row in other.rows)


def test_fewer_rows_are_the_first_of_more(generate):
    few, many = (generate(Paraphrase(level=6, num_rows=count), reply=fresh) for count in (9, 35))
    assert few.rows == many.rows[:9]


def test_a_threshold_of_minus_one_keeps_everything_in_its_order(generate):
    plain, filtered = (generate(Paraphrase(level=6, closeness=each), reply=fresh) for each in ("off", -1.0))
    assert plain.rows == filtered.rows
    assert filtered.report["rejected"] == {}
    assert filtered.report["closeness"] == {"smallest_cosine": -1.0, "of": "nearest"}


def test_rows_far_from_the_real_ones_are_rejected(generate):
    def reply(request):
        if request.seed % 2:
            return row(f"Describe the leaves of the elm tree number {request.seed}.", "The leaves are green.")
        return row(f"Compute integral {request.seed}", "Pi over two")

    made = generate(Paraphrase(level=6, num_rows=10, closeness=0.5), reply=reply)
    assert len(made.rows) == 10
    assert all("leaves" in each.prompt for each in made.rows)
    assert made.report["rejected"] == {"far_from_real": made.report["num_attempts"] - 10}
    vectors = made.desk.embedded("both")
    nearest = Closeness(real=vectors).of(made.desk.embed([each.text("both") for each in made.rows]))
    assert (nearest >= 0.5).all()


def test_the_calibrated_threshold_is_told(generate):
    made = generate(Paraphrase(level=6, num_rows=3, closeness="calibrated"), reply=fresh)
    vectors = made.desk.embedded("both")
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    assert made.report["closeness"]["smallest_cosine"] == pytest.approx(np.percentile(cosines.max(axis=1), 5), abs=1e-5)


def test_near_duplicates_of_rows_kept_before_are_rejected_under_a_cap(generate):
    made = generate(Paraphrase(level=6, num_rows=10, cap=0.99), reply=lambda r: row(f"Name tree {'!' * (r.seed % 97)}"))
    assert len(made.rows) == 1
    assert made.report["rejected"]["near_duplicate"] > 0


def test_an_embedding_that_is_not_finite_keeps_its_row_out(generate):
    def embed(texts):
        vectors = np.tile(np.float32([1, 0]), (len(texts), 1))
        vectors[["tree 1 of" in text for text in texts]] = np.nan
        return vectors

    def reply(request):
        return row(f"Name tree {request.seed % 2} of {request.seed}.")

    made = generate(Paraphrase(level=6, num_rows=12, closeness=0.1), reply=reply, embedder=embed)
    assert made.report["rejected"].get("non_finite", 0) > 0
    assert not any("tree 1 of" in each.prompt for each in made.rows)


def test_rows_without_instruction_or_response_are_no_parents_and_are_counted(generate, trees):
    rows = trees(6)
    rows[0]["instruction"], rows[1]["output"], rows[2]["output"] = " ", "", "\n"
    made = generate(PART, rows, reply=fresh)
    assert made.report["notes"] == {"no_parent_empty_instruction": 1, "no_parent_empty_response": 2}
    assert {parent for told in made.lineages for parent in told["parent_ids"]} <= {"r3", "r4", "r5"}


def test_a_pool_without_parents_is_refused_with_the_reasons(generate, trees):
    rows = [{**each, "output": ""} for each in trees(3)]
    with pytest.raises(SftbenchError, match=r"no row of the pool can be a parent.*'empty_response': 3"):
        generate(PART, rows, reply=fresh)


def test_a_long_prompt_loses_examples_first_and_then_the_end_of_its_context(generate):
    long = "The gardener planted it. " * 400
    rows = [
        {"id": str(at), "instruction": "Who planted it?", "input": long + str(at), "output": "The gardener"}
        for at in range(4)
    ]

    def reply(request):
        return row(f"Who came number {request.seed}?", "The gardener")

    made = generate(Paraphrase(level=6, num_rows=8, max_prompt_characters=4000), rows, reply=reply)
    assert len(made.rows) == 8
    assert made.report["notes"] == {"examples_dropped": 8, "context_truncated": 8}
    assert all(told["parent_ids"] for told in made.lineages)
    assert all(sum(len(turn.content) for turn in each.messages) <= 4000 for each in made.desk.language.requests)
    assert all(told["notes"] == ["examples_dropped", "context_truncated"] for told in made.lineages)


def test_a_prompt_that_cannot_be_made_to_fit_is_rejected(generate):
    made = generate(Paraphrase(level=6, num_rows=4, max_prompt_characters=50), reply=fresh)
    assert made.report["rejected"] == {"prompt_too_long": 12}
    assert made.desk.language.requests == []
