"""The scorer: numbers of a model, its stand-in against the formula, and every kind of bad row."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench import PassRequest
from sftbench_plugins.quality.scorer import BY_PERPLEXITY, Quality, standardised

ROWS = [("name a colour", "blue"), ("add 2 and 3", "5"), ("who wrote it?", "nobody knows")]
BAD = [
    ("fine", "answer"),
    ("asked", ""),
    ("", "unasked"),
    ("q" * 90, "answer"),
    ("asked", " \n"),
    ("one", "first", "two", ""),
    ("nobody answers",),
    ("last", "x"),
]


def by_model(folder, **more):
    return Quality(quality_model=str(folder), **more)


@pytest.fixture
def scored(make_desk, reward_folder):
    """Scores of rows by the small reward model, and the desk that it used."""

    def score(rows, **more):
        desk = make_desk(rows, folders={"quality": reward_folder})
        return by_model(reward_folder, **more).score(desk.pool, desk), desk

    return score


def test_the_score_of_a_row_is_the_models_number_for_its_question_and_answer(scored, ask_directly, reward_folder):
    scores, desk = scored(ROWS)
    expected = [ask_directly(reward_folder, *row)[0] for row in ROWS]
    np.testing.assert_allclose(scores.values, expected, rtol=1e-4)
    assert scores.report == {"quality": "model"}
    assert not desk.stand_ins
    assert desk.spent["tokens_forward"] == sum(len(ask) + len(tell) + 3 for ask, tell in ROWS)


def test_a_labelled_row_is_one_text(scored, ask_directly, reward_folder):
    scores, _ = scored([("ask", "tell")], form="labelled")
    assert scores.values[0] == pytest.approx(
        ask_directly(reward_folder, "Instruction: ask Input:  Response: tell")[0], rel=1e-4
    )


@pytest.mark.parametrize(("turns", "pair"), [("first", ("a", "b")), ("last", ("c", "d")), ("all", ("a\nc", "b\nd"))])
def test_the_exchanges_that_are_read_are_a_choice(scored, ask_directly, reward_folder, turns, pair):
    scores, _ = scored([("a", "b", "c", "d")], turns=turns)
    assert scores.values[0] == pytest.approx(ask_directly(reward_folder, *pair)[0], rel=1e-4)


def test_bad_rows_have_reasons_and_shift_no_other(scored):
    scores, _ = scored(BAD, turns="last")
    empty = dict.fromkeys((1, 4, 5, 6), "empty_response")
    assert scores.reasons == {**empty, 3: "prompt_too_long"}
    assert np.isnan(scores.values).tolist() == [at in scores.reasons for at in range(len(BAD))]
    assert scores.notes == {}
    alone, _ = scored([BAD[7]], turns="last")
    assert scores.values[7] == pytest.approx(alone.values[0], rel=1e-5)


def test_a_text_that_is_cut_has_a_score_and_a_note(scored):
    scores, _ = scored(BAD, turns="first", overlong="truncate")
    assert scores.notes == {3: "truncated"}
    assert set(scores.reasons) == {1, 4, 6}, "the first exchange of a conversation has an answer"
    assert np.isfinite(scores.values[3])


def test_an_answer_of_one_token_is_valid(scored):
    scores, _ = scored([("last", "x")])
    assert np.isfinite(scores.values[0])


def test_a_number_that_is_not_finite_is_no_score(scored, monkeypatch):
    from sftbench_plugins.quality.classifier import QualityModel

    given = np.array([1.0, np.nan, np.inf, -np.inf])
    monkeypatch.setattr(QualityModel, "of", lambda self, texts, *, truncate: (given, {3: "truncated"}))
    scores, _ = scored([("ask", "tell")] * 4)
    assert scores.reasons == {1: "non_finite", 2: "non_finite", 3: "non_finite"}
    assert np.isnan(scores.values).tolist() == [False, True, True, True]
    assert scores.notes == {}


def test_rows_up_to_the_threshold_are_cut_and_their_number_is_kept_in_a_column(scored):
    whole, _ = scored(ROWS)
    middle = float(np.sort(whole.values)[1])
    scores, _ = scored(ROWS, above=middle)
    low = whole.values <= middle
    assert low.sum() == 2, "the threshold itself is not above it"
    assert np.isnan(scores.values).tolist() == low.tolist()
    assert scores.reasons == dict.fromkeys(np.flatnonzero(low).tolist(), "below_cut")
    np.testing.assert_array_equal(scores.columns["quality"], whole.values)
    assert scores.report["num_below_cut"] == 2


def test_many_rows_are_scored_in_batches_each_in_its_place(scored, monkeypatch):
    monkeypatch.setattr("sftbench_plugins.quality.scorer._ROWS_AT_ONCE", 2)
    rows = [("ask", "x" * length) if length % 3 else ("ask", "") for length in range(1, 8)]
    scores, _ = scored(rows)
    one_by_one = [scored([row])[0].values[0] for row in rows]
    np.testing.assert_allclose(scores.values, one_by_one, rtol=1e-5)
    assert set(scores.reasons) == {2, 5}


GIVEN = [[0.5, 1.5], [2.0, 4.0, 3.0], [1.0]]


def test_the_stand_in_is_the_standard_score_of_the_negative_mean_loss(make_desk, losses):
    desk = make_desk(ROWS, passes=losses(GIVEN))
    scores = Quality().score(desk.pool, desk)
    means = np.array([1.0, 3.0, 1.0])
    mean, deviation = 5 / 3, math.sqrt(8 / 9)
    np.testing.assert_allclose(scores.values, -(means - mean) / deviation)
    np.testing.assert_allclose(scores.columns["mean_nll"], means)
    assert scores.report["mean"] == pytest.approx(-mean)
    assert scores.report["standard_deviation"] == pytest.approx(deviation)
    assert scores.notes == {0: "response_truncated"}


def test_whoever_stands_in_is_named(make_desk, losses):
    desk = make_desk(ROWS, passes=losses(GIVEN))
    scores = Quality().score(desk.pool, desk)
    assert desk.stand_ins == [BY_PERPLEXITY]
    assert scores.report["quality"] == f"stand-in: {BY_PERPLEXITY}"


def test_the_first_token_does_not_count_where_nothing_precedes_it(make_desk, losses):
    rows = [("", "unasked"), ("ask", "tell"), ("", "x"), ("ask", "x")]
    given = [[np.nan, 2.0, 4.0], [1.0, 2.0], [np.nan], [0.5]]
    desk = make_desk(rows, passes=losses(given))
    scores = Quality().score(desk.pool, desk)
    np.testing.assert_allclose(scores.columns["mean_nll"], [3.0, 1.5, np.nan, 0.5])
    assert scores.reasons == {2: "too_few_tokens"}


def test_bad_rows_have_reasons_with_the_stand_in_too(make_desk, losses):
    rows = [("ask", "tell"), ("ask", " \n"), ("ask", "tell"), ("ask", "tell"), ("ask", "x"), ("ask", "tell")]
    given = [[1.0], [1.0], [np.nan, 1.0], [np.inf, 1.0], [np.nan], []]
    desk = make_desk(rows, passes=losses(given, reasons={5: "prompt_too_long"}))
    scores = Quality().score(desk.pool, desk)
    assert scores.reasons == {
        1: "empty_response", 2: "non_finite", 3: "non_finite", 4: "non_finite", 5: "prompt_too_long",
    }  # fmt: skip
    assert np.isnan(scores.values).tolist() == [False, True, True, True, True, True]
    assert scores.values[0] == 0.0


def test_a_threshold_of_zero_leaves_the_better_than_average(make_desk, losses):
    desk = make_desk(ROWS, passes=losses(GIVEN))
    scores = Quality(above=0.0).score(desk.pool, desk)
    assert scores.reasons == {1: "below_cut"}


def test_equal_values_have_no_spread_to_divide_by():
    values, report = standardised(np.array([2.0, 2.0, np.nan]))
    np.testing.assert_array_equal(values, [0.0, 0.0, np.nan])
    assert report == {"mean": 2.0, "standard_deviation": 0.0}
    assert standardised(np.array([np.nan]))[1] == {"mean": 0.0, "standard_deviation": 0.0}


@pytest.mark.parametrize("model", ["/models/reward", "OpenAssistant/reward-model-deberta-v3-large-v2"])
def test_a_named_model_is_declared_and_no_pass_is_made(model):
    part = Quality(quality_model=model)
    assert part.needs().foreign_models == {"quality": model}
    assert not part.needs().passes
    assert part.passes_over_pool == 1.0
    assert Quality().needs().passes == (PassRequest(view="conditional"),)
    assert not Quality().needs().foreign_models


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"quality_model": " "}, "hub name"), ({"above": math.nan}, "above is a number")],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Quality(**parameters)
