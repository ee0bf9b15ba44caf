"""Ratings of rows by small models: against a loop over their own logits, against chosen probabilities, and bad rows."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from sftbench import UsageError
from sftbench_plugins.selectit.formula import sentence_level, token_level
from sftbench_plugins.selectit.rating import prompt_text, wordings
from sftbench_plugins.selectit.scorer import SelectIt

ROWS = [("name a colour", "blue"), ("count {top}", "1 2 3"), ("one", "first", "two", "second")]
MODES = ["paper", "official"]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


def text_of(number, instruction, response, num_ratings=5):
    texts = wordings().texts
    prompt = texts["prompts"][number].replace("{top}", str(num_ratings))
    return f"{prompt}\n\nInstruction:{instruction}\nResponse:{response}\n{texts['answer']}\n"


def digit_probs(model, text, num_ratings=5):
    """Full-vocabulary probabilities of the digits after a text."""
    with torch.no_grad():
        logits = model.model(torch.tensor([model.tokenizer(text)["input_ids"]])).logits[0, -1].double().numpy()
    digits = model.tokenizer.convert_tokens_to_ids([str(each + 1) for each in range(num_ratings)])
    return np.exp(log_softmax(logits)[digits])


class Scripted:
    """A model that expects what it is told to, by text: the beginning of an engine that stands on a real tokenizer."""

    def __init__(self, model, probs_of):
        self.tokenizer, self.vocab_size, self.max_length = model.tokenizer, model.vocab_size, 10**6
        self.bos_token_id, self.model, self.probs_of = None, model.model, probs_of

    def run(self, passages, *, statistics):
        for passage in passages:
            text = self.tokenizer.decode(passage.token_ids[:-1])
            probs = self.probs_of(text)
            with np.errstate(divide="ignore"):
                yield {statistics[0].name: np.log(np.array([probs], dtype=np.float32))}


@pytest.mark.parametrize("mode", MODES)
def test_the_score_is_made_of_the_models_own_probabilities(model, make_desk, mode):
    desk = make_desk(ROWS, model)
    scores = SelectIt(mode=mode).score(desk.pool, desk)
    asked = [ROWS[0], ROWS[1], ("one", "first") if mode == "official" else ("one\nfirst\ntwo", "second")]
    probs = np.array([[digit_probs(model, text_of(number, *pair)) for number in range(5)] for pair in asked])
    tokens = token_level(probs, mode)
    np.testing.assert_allclose(scores.values, sentence_level(tokens, 0.2), rtol=1e-3)
    np.testing.assert_allclose(scores.columns["mean_token_score"], tokens.mean(1), rtol=1e-3)
    np.testing.assert_allclose(scores.columns["std_token_score"], tokens.std(1), rtol=1e-3)
    np.testing.assert_allclose(scores.columns["digit_mass"], probs.sum(2).mean(1), rtol=1e-3)
    assert scores.report["mean_digit_mass"] == pytest.approx([probs.sum(2).mean()], rel=1e-3)
    assert scores.report["level"] == "sentence"
    assert scores.report["rating_prompts"] == wordings().told()
    assert scores.notes == {2: "first_turn_only" if mode == "official" else "history_in_prompt"}
    assert not scores.reasons


@pytest.mark.parametrize("prompt", [1, 7])
def test_the_token_level_asks_with_one_prompt_alone(model, make_desk, prompt):
    desk = make_desk(ROWS[:2], model)
    part = SelectIt(level="token", prompt=prompt)
    scores = part.score(desk.pool, desk)
    expected = [token_level(digit_probs(model, text_of(prompt - 1, *row)), "paper") for row in ROWS[:2]]
    np.testing.assert_allclose(scores.values, expected, rtol=1e-3)
    assert part.passes_over_pool == 1


def test_ratings_and_prompts_are_numbers_of_their_own(model, make_desk):
    desk = make_desk(ROWS[:2], model)
    scores = SelectIt(num_prompts=3, num_ratings=7).score(desk.pool, desk)
    probs = np.array([[digit_probs(model, text_of(at, *row, 7), 7) for at in range(3)] for row in ROWS[:2]])
    np.testing.assert_allclose(scores.values, sentence_level(token_level(probs, "paper"), 0.2), rtol=1e-3)


@pytest.mark.parametrize(("mode", "most"), [("paper", 5.0), ("official", 5 * (math.e - 1) / (math.e + 4))])
def test_chosen_probabilities_give_the_ends_of_the_scale(model, make_desk, mode, most):
    ends = {"sure": [0, 0, 0, 0, 0.9], "unsure": [0.1] * 5}
    scripted = Scripted(model, lambda text: ends["sure" if "yes" in text else "unsure"])
    desk = make_desk([("ask", "yes"), ("ask", "no")], scripted)
    np.testing.assert_allclose(SelectIt(mode=mode).score(desk.pool, desk).values, [most, 0], atol=1e-6)


def test_several_models_count_by_their_sizes(make_model, make_desk):
    models = {"scoring": make_model(seed=1), "rater_2": make_model(seed=2, width=32)}
    desk = make_desk(ROWS[:2], models=models)
    part = SelectIt(models="scoring; ./big")
    assert part.needs().language_models == ("scoring",)
    assert part.needs().foreign_models == {"rater_2": "./big"}
    assert part.passes_over_pool == 10
    scores = part.score(desk.pool, desk)
    sizes = [sum(each.numel() for each in model.model.parameters()) for model in models.values()]
    alone = []
    for model in models.values():
        single = make_desk(ROWS[:2], model)
        alone.append(SelectIt().score(single.pool, single).values)
    expected = (alone[0] * sizes[0] + alone[1] * sizes[1]) / sum(sizes)
    np.testing.assert_allclose(scores.values, expected, rtol=1e-6)
    np.testing.assert_allclose([scores.columns["sentence_1"], scores.columns["sentence_2"]], alone, rtol=1e-6)
    assert scores.report["weights"] == pytest.approx([size / sum(sizes) for size in sizes])


def test_official_weighs_three_models_as_the_authors_code_does(make_model, make_desk):
    models = {f"rater_{at + 1}": make_model(seed=at) for at in range(3)}
    desk = make_desk(ROWS[:2], models=models)
    scores = SelectIt(mode="official", models="a;b;c").score(desk.pool, desk)
    columns = [scores.columns[f"sentence_{at + 1}"] for at in range(3)]
    expected = columns[0] * 7 / 20 + columns[1] * 13 / 20 + columns[2] * 70 / 90
    np.testing.assert_allclose(scores.values, expected, rtol=1e-12)


def test_given_weights_are_taken(make_model, make_desk):
    models = {"rater_1": make_model(seed=1), "rater_2": make_model(seed=2)}
    desk = make_desk(ROWS[:2], models=models)
    scores = SelectIt(mode="official", models="a;b", weights="0.25;2").score(desk.pool, desk)
    np.testing.assert_allclose(scores.values, scores.columns["sentence_1"] / 4 + 2 * scores.columns["sentence_2"])


BAD = [("fine", "answer"), ("asked", ""), ("", "unasked"), ("q" * 900, "answer"), ("nobody answers",), ("last", "x")]


@pytest.mark.parametrize("mode", MODES)
def test_bad_rows_are_rated_or_have_reasons_and_shift_no_other(model, make_desk, mode):
    desk = make_desk(BAD, model)
    scores = SelectIt(mode=mode).score(desk.pool, desk)
    assert scores.reasons == {3: "prompt_too_long"}
    assert np.isnan(scores.values).tolist() == [False, False, False, True, False, False]
    assert scores.notes[1] == "empty_response"
    assert scores.notes[2] == "empty_instruction"
    good = make_desk([BAD[0], BAD[5]], model)
    np.testing.assert_allclose(SelectIt(mode=mode).score(good.pool, good).values, scores.values[[0, 5]], rtol=1e-5)


def test_an_exception_at_one_row_moves_no_other_rows_score(model, make_desk):
    """In the authors' code all later scores move up by one."""

    def probs(text):
        if "row 3" in text:
            raise RuntimeError("out of order")
        return [0.1, 0.1, 0.1, 0.1, 0.1 + 0.05 * int(text.split("row ")[1][0])]

    rows = [(f"row {at}", "x") for at in range(6)]
    desk = make_desk(rows, Scripted(model, probs))
    scores = SelectIt().score(desk.pool, desk)
    assert scores.reasons == {3: "model_error"}
    whole = make_desk(rows, Scripted(model, lambda text: probs(text.replace("row 3", "row 2"))))
    expected = SelectIt().score(whole.pool, whole).values
    np.testing.assert_allclose(np.delete(scores.values, 3), np.delete(expected, 3))


@pytest.mark.parametrize(("num_failing", "has_score"), [(2, True), (3, False)])
def test_three_prompts_are_enough(model, make_desk, num_failing, has_score):
    failing = [prompt_text(number, 5) for number in range(num_failing)]

    def probs(text):
        if text.startswith(tuple(failing)):
            raise RuntimeError("not this one")
        return [0.1, 0.1, 0.1, 0.1, 0.4]

    desk = make_desk([("ask", "tell")], Scripted(model, probs))
    scores = SelectIt().score(desk.pool, desk)
    assert np.isfinite(scores.values[0]) == has_score
    assert scores.reasons == ({} if has_score else {0: "model_error"})
    assert scores.notes == ({0: "fewer_prompts"} if has_score else {})


def test_digits_that_are_impossible_are_no_digit_mass(model, make_desk):
    desk = make_desk(
        [("ask", "nothing"), ("ask", "tell")],
        Scripted(model, lambda text: [0.0] * 5 if "nothing" in text else [0.1] * 5),
    )
    scores = SelectIt().score(desk.pool, desk)
    assert scores.reasons == {0: "no_digit_mass"}
    assert scores.values[1] == 0


def test_numbers_that_are_none_are_non_finite(make_model, make_desk):
    model = make_model()
    model.model = copy.deepcopy(model.model)
    model.model.transformer.ln_f.weight.data.fill_(torch.nan)
    desk = make_desk(ROWS[:2], model)
    scores = SelectIt().score(desk.pool, desk)
    assert scores.reasons == {0: "non_finite", 1: "non_finite"}
    assert scores.report["mean_digit_mass"] == [None]


def test_a_faint_mass_is_told(model, make_desk):
    desk = make_desk([("ask", "tell")], Scripted(model, lambda text: [0.001] * 5))
    SelectIt().score(desk.pool, desk)
    assert any("rating digits get 0.50% of the probability" in line for line in desk.logged)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_prompts": 0}, "between 1 and 9"),
        ({"prompt": 10}, "between 1 and 9"),
        ({"num_ratings": 1}, "between 2 and 9"),
        ({"alpha": -1.0}, "alpha is at least 0"),
        ({"models": "a;a"}, "each model once"),
        ({"models": " ; "}, "each model once"),
        ({"models": "a;b", "level": "sentence"}, "rates by one model; models names 2"),
        ({"models": "a;b", "mode": "official"}, "exactly three models, and models names 2"),
        ({"level": "model", "mode": "official"}, "exactly three models"),
        ({"models": "a;b", "weights": "1"}, "1 numbers for 2 models"),
        ({"models": "a;b", "weights": "1;x"}, "could not convert"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        SelectIt(**parameters)


def test_there_are_as_many_prompts_as_can_be_asked_for():
    assert len(wordings().texts["prompts"]) == 9
    assert all("{top}" in each for each in wordings().texts["prompts"])
    with pytest.raises(UsageError, match="number 10 is not among them"):
        prompt_text(9, 5)
