"""Ratings that are asked for, what is made of bad answers, and the stand-in of perplexity."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from sftbench_plugins.ds2.rating import SCHEMA, Asker, compressed, from_perplexity, overall_rating, sixths, wordings


class Count:
    def advance(self, amount=1):
        pass


def test_overall_ratings_become_six_classes():
    assert [compressed(each) for each in range(1, 11)] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"rarity": 1, "complexity": 2, "informativeness": 3, "overall": 7}', 7),
        ('Sure! {"overall": 3} or rather\n{"Overall": "10"}.', 10),
        ('{"Overall rating": 6}', 6),
    ],
)
def test_the_overall_rating_of_the_last_object_counts(text, expected):
    assert overall_rating(text) == expected


UNREADABLE = (
    "", "7", '{"rarity": 3}', '{"overall": 11}', '{"overall": 0}', '{"overall": "good"}', '{"overall": }',
    '{"overall": null}', '{"overall": [7]}', '{"overall": 7.5}',
)  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 -- of json, of int, or ours
        overall_rating(text)


def asker(desk, **settings):
    defaults = {
        "seed": 5, "temperature": 1.2, "top_p": 0.9, "max_tokens": 60, "num_attempts": 3, "official": False,
    }  # fmt: skip
    return Asker(chat=desk.talker, tokenizer=desk.model.tokenizer, **{**defaults, **settings})


@pytest.fixture
def talk(make_desk, make_chat):
    """A desk whose language model answers by a function of the text it is shown and the number of the attempt."""
    return lambda rows, answer: make_desk(rows, talker=make_chat(answer))


def told(overall):
    return json.dumps({"rarity": 1, "complexity": 1, "informativeness": 1, "overall": overall})


def test_rows_are_shown_whole_with_their_roles_and_rated_in_order(talk):
    rows = [("ask {conversation}", "tell"), ("a", "b", "c", "d"), ("one", "two")]
    overall = {"ask {": 9, "user: a\n": 5, "user: one": 2}
    desk = talk(rows, lambda text, attempt: told(next(each for key, each in overall.items() if key in text)))
    ratings = asker(desk).rate(desk.pool, Count())
    assert ratings.overall.tolist() == [9, 5, 2]
    assert ratings.classes.tolist() == [5, 1, 0]
    assert not ratings.reasons
    request = desk.talker.asked[1]
    before, after = wordings().texts["user"].split("{conversation}")
    assert request.messages[0].content == wordings().texts["system"]
    shown = "### user: a\n### assistant: b\n### user: c\n### assistant: d\n"
    assert request.messages[1].content == before + shown + after
    assert (request.seed, request.temperature, request.top_p, request.json_schema) == (5, 1.2, 0.9, SCHEMA)
    assert "ask {conversation}" in desk.talker.asked[0].messages[1].content


def test_an_answer_that_can_be_read_later_is_taken(talk):
    desk = talk([("ask", "tell")], lambda text, attempt: "hm" if attempt < 3 else told(8))
    assert asker(desk).rate(desk.pool, Count()).classes.tolist() == [4]


def test_what_cannot_be_read_has_no_rating_and_shifts_no_other(talk):
    rows = [("good", "x"), ("bad", "x"), ("gone", "x"), ("good", "y")]
    answers = {"bad": "hm", "gone": "no answer"}
    desk = talk(rows, lambda text, attempt: next((said for key, said in answers.items() if key in text), told(7)))
    ratings = asker(desk).rate(desk.pool, Count())
    assert ratings.reasons == {1: "parse_error", 2: "model_error"}
    assert desk.talker.was_lenient
    assert np.isnan(ratings.classes).tolist() == [False, True, True, False]
    official = asker(desk, official=True).rate(desk.pool, Count())
    assert official.classes.tolist() == [3, 0, 0, 3]
    # It has no missing ratings, so that a prompt which the server fails over must not become one of the worst.
    assert not desk.talker.was_lenient
    assert not official.reasons
    assert {row: sorted(remarks) for row, remarks in official.notes.items()} == {1: ["parse_error"], 2: ["model_error"]}


def test_empty_sides_are_rated_and_noted(talk):
    desk = talk([("ask", ""), ("", "tell"), ("ask", "tell")], lambda text, attempt: told(4))
    ratings = asker(desk).rate(desk.pool, Count())
    assert ratings.classes.tolist() == [0, 0, 0]
    assert ratings.notes == {0: {"empty_response"}, 1: {"empty_instruction"}}


def test_a_long_row_loses_its_end_and_says_so(talk):
    desk = talk([("ask " * 40, "tell"), ("ask", "tell")], lambda text, attempt: told(6))
    ratings = asker(desk).rate(desk.pool, Count())
    assert ratings.notes == {0: {"prompt_truncated"}}
    before, after = wordings().texts["user"].split("{conversation}")
    cut = ("### user: " + "ask " * 40)[:60]
    assert desk.talker.asked[0].messages[1].content == before + cut + "\n" + after


def test_sixths_are_of_equal_size_and_equals_share_one():
    values = np.random.default_rng(0).permutation(18).astype(float)
    assert np.bincount(sixths(values).astype(int)).tolist() == [3] * 6
    assert sixths(values)[values.argmax()] == 5
    assert sixths(np.array([1.0, 2, 3, 4, 5, 6])).tolist() == [0, 1, 2, 3, 4, 5]
    assert len(set(sixths(np.ones(9)).tolist())) == 1
    assert sixths(np.empty(0)).tolist() == []
    ties = sixths(np.array([0.0] * 6 + [1.0] * 6))
    assert ties.tolist() == [1.0] * 6 + [4.0] * 6


def mean_loss(model, prompt, response):
    ids = model.tokenizer(f"{prompt}\n{response}")["input_ids"]
    with torch.no_grad():
        logits = model.model(torch.tensor([ids])).logits[0].double().numpy()
    first = len(prompt) + 1
    return np.mean([-log_softmax(logits[at - 1])[ids[at]] for at in range(first, len(ids))])


@pytest.mark.parametrize("wanted", ["low-perplexity", "high-perplexity"])
def test_the_stand_in_is_sixths_by_perplexity(make_desk, wanted):
    words = np.random.default_rng(3).integers(97, 123, size=(12, 9)).astype(np.uint8)
    rows = [("say it", bytes(each).decode()) for each in words]
    desk = make_desk(rows)
    ratings = from_perplexity(desk.pool, desk.model, wanted, Count())
    losses = np.array([mean_loss(desk.model, *row) for row in rows])
    rank = np.argsort(np.argsort(losses if wanted == "high-perplexity" else -losses))
    assert ratings.classes.tolist() == (rank // 2).tolist()
    assert np.isnan(ratings.overall).all()


def test_the_stand_in_rates_nothing_as_nothing_and_names_what_it_cannot_read(make_desk):
    rows = [("ask", ""), ("q" * 300, "never seen"), ("ask", "t" * 300), ("", "alone"), ("", "x"), ("ask", "tell")]
    desk = make_desk(rows)
    ratings = from_perplexity(desk.pool, desk.model, "low-perplexity", Count())
    assert ratings.reasons == {1: "prompt_too_long", 4: "too_few_tokens"}
    assert ratings.classes[0] == 0
    assert np.isnan(ratings.classes).tolist() == [False, True, False, False, True, False]
    assert ratings.notes == {
        0: {"empty_response"}, 2: {"response_truncated"}, 3: {"empty_instruction"}, 4: {"empty_instruction"},
    }  # fmt: skip
