"""Complexity and quality against a loop over a model's own logits, their product, and every kind of bad row."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sftbench import UsageError
from sftbench_plugins.deita.rating import expectation
from sftbench_plugins.deita.scorer import Deita, joined
from sftbench_plugins.deita.templates import template_of, wordings

ROWS = [
    ("name a colour", "blue"),
    ("prove it", "it follows {response} from {query}."),
    ("one", "first", "two", "second", "three", "third"),
]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


def by_hand(model, text):
    """Mean digit 1 to 6 under softmax of their six logits after a text, and their full-vocabulary probability."""
    ids = model.tokenizer(text)["input_ids"]
    with torch.no_grad():
        logits = model.model(torch.tensor([ids])).logits[0, -1].double().numpy()
    digits = model.tokenizer.convert_tokens_to_ids(list("123456"))
    rating = float(softmax(logits[digits]) @ np.arange(1, 7))
    return rating, float(np.exp(log_softmax(logits)[digits]).sum())


def texts(query, response):
    given = wordings().texts
    quality = given["quality"].replace("{query}", "\0").replace("{response}", response).replace("\0", query)
    return given["complexity"].replace("{query}", query), quality


@pytest.fixture(scope="module")
def ratings(model):
    """Complexity and quality of every exchange of `ROWS`."""
    found = []
    for row in ROWS:
        pairs = zip(row[::2], row[1::2], strict=True)
        found.append([[by_hand(model, text)[0] for text in texts(*pair)] for pair in pairs])
    return found


@pytest.mark.parametrize("turns", ["sum", "mean", "first"])
def test_the_score_is_the_product_of_both_ratings_over_the_turns(model, make_desk, ratings, turns):
    desk = make_desk(ROWS, model)
    scores = Deita(turns=turns).score(desk.pool, desk)
    make = {"sum": sum, "mean": np.mean, "first": lambda each: each[0]}[turns]
    expected = [make([complexity * quality for complexity, quality in row]) for row in ratings]
    np.testing.assert_allclose(scores.values, expected, rtol=1e-4)
    np.testing.assert_allclose(
        scores.columns["complexity"], [np.mean([c for c, _ in row]) for row in ratings], rtol=1e-4
    )
    np.testing.assert_allclose(scores.columns["quality"], [np.mean([q for _, q in row]) for row in ratings], rtol=1e-4)
    assert scores.columns["num_turns"].tolist() == [1, 1, 3]
    assert scores.columns["by_turn"][2] == " ".join(f"{c:.4f}*{q:.4f}" for c, q in ratings[2])
    assert not scores.reasons
    assert not scores.notes
    assert scores.report["num_conversations"] == 1
    assert desk.asked == ["scoring:float32"] * 2


@pytest.mark.parametrize("kind", ["complexity", "quality"])
def test_one_rating_alone_takes_one_pass(model, make_desk, ratings, kind):
    desk = make_desk(ROWS, model)
    part = Deita(rate=kind)
    scores = part.score(desk.pool, desk)
    at = ("complexity", "quality").index(kind)
    np.testing.assert_allclose(scores.values, [sum(pair[at] for pair in row) for row in ratings], rtol=1e-4)
    assert part.passes_over_pool == 1
    assert len(desk.asked) == 1
    assert set(scores.columns) == {kind, f"{kind}_digit_mass", "by_turn", "num_turns"}


def test_the_mass_of_the_digits_is_kept_and_a_faint_one_is_told(model, make_desk):
    desk = make_desk(ROWS[:2], model)
    scores = Deita().score(desk.pool, desk)
    masses = [[by_hand(model, text)[1] for text in texts(*row)] for row in ROWS[:2]]
    np.testing.assert_allclose(scores.columns["complexity_digit_mass"], [row[0] for row in masses], rtol=1e-3)
    np.testing.assert_allclose(scores.columns["quality_digit_mass"], [row[1] for row in masses], rtol=1e-3)
    assert scores.report["quality"]["mean_digit_mass"] == pytest.approx(np.mean([row[1] for row in masses]), rel=1e-3)
    for at, kind in enumerate(("complexity", "quality")):
        is_told = any(line.startswith(f"{kind}: the digits 1 to 6 get") for line in desk.logged)
        assert is_told == (np.mean([row[at] for row in masses]) < 0.05)


def test_an_expectation_of_equal_digits_is_in_the_middle_and_of_one_digit_that_digit():
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[0.1] * 6, [1e-300] * 6, [0, 0, 0, 0, 0, 0.5], [0.3, 0, 0, 0, 0, 0.3], [0] * 6]))
    ratings, mass = expectation(log_probs)
    np.testing.assert_allclose(ratings[:4], [3.5, 3.5, 6.0, 3.5])
    np.testing.assert_allclose(mass, [0.6, 6e-300, 0.5, 0.6, 0.0])
    assert np.isnan(ratings[4])


def test_whoever_stands_in_is_named(model, make_desk):
    desk = make_desk(ROWS[:1], model)
    report = Deita().score(desk.pool, desk).report
    for kind in ("complexity", "quality"):
        assert report[kind]["scorer"] == "stand-in: the run's scoring model"
        assert report[kind]["template"] == wordings().told()
        assert any(what.startswith(f"{kind} rated by the run's scoring model") for what in desk.stand_ins)
    assert Deita().needs().language_models == ("scoring",)
    assert not Deita().needs().foreign_models


def test_scorers_of_their_own_folders_rate_by_the_templates_that_lie_there(make_model, make_desk, tmp_path):
    folders = {name: tmp_path / name for name in ("complexity", "quality")}
    for folder in folders.values():
        folder.mkdir()
    own = "Q: {query}\r\nA: {response} = "
    (folders["quality"] / "quality_template.txt").write_bytes(own.encode())
    raters = {"complexity": make_model(seed=1), "quality": make_model(seed=2)}
    desk = make_desk(ROWS[:1], models=raters, folders=folders)
    part = Deita(complexity_model=str(folders["complexity"]), quality_model=str(folders["quality"]))
    assert part.needs().foreign_models == {name: str(folder) for name, folder in folders.items()}
    assert not part.needs().language_models
    scores = part.score(desk.pool, desk)
    complexity = by_hand(raters["complexity"], texts(*ROWS[0])[0])[0]
    quality = by_hand(raters["quality"], "Q: name a colour\r\nA: blue = ")[0]
    assert scores.values[0] == pytest.approx(complexity * quality, rel=1e-4)
    assert scores.report["quality"]["template"] == {
        "file": "quality_template.txt", "sha256": hashlib.sha256(own.encode()).hexdigest(),
    }  # fmt: skip
    assert scores.report["complexity"]["scorer"] == str(folders["complexity"])
    assert not desk.stand_ins


def test_one_folder_for_both_ratings_is_one_model():
    needs = Deita(complexity_model="both", quality_model="both").needs()
    assert needs.foreign_models == {"complexity": "both"}
    mixed = Deita(quality_model="mine").needs()
    assert mixed.language_models == ("scoring",)
    assert mixed.foreign_models == {"quality": "mine"}
    assert Deita(rate="complexity", quality_model="mine").needs().foreign_models == {}


def test_a_template_without_its_slots_is_refused_by_its_place(tmp_path):
    (tmp_path / "quality_template.txt").write_text("{response}")
    with pytest.raises(UsageError, match=r"quality_template\.txt must have the slots"):
        template_of("quality", tmp_path)


BAD = [
    ("fine", "answer"),
    ("asked", ""),
    ("", "unasked"),
    ("q" * 900, "answer"),
    ("asked", "a" * 900),
    ("asked", " \n"),
    ("one", "first", "two", ""),
    ("nobody answers",),
    ("last", "x"),
]


def test_bad_rows_have_reasons_and_shift_no_other(model, make_desk):
    desk = make_desk(BAD, model)
    scores = Deita().score(desk.pool, desk)
    assert scores.reasons == {
        1: "empty_response",
        2: "empty_instruction",
        3: "prompt_too_long",
        5: "empty_response",
        6: "empty_response",
        7: "empty_response",
    }
    assert np.isnan(scores.values).tolist() == [at in scores.reasons for at in range(len(BAD))]
    assert scores.notes == {4: "response_truncated"}
    good = make_desk([BAD[0], BAD[8]], model)
    np.testing.assert_allclose(Deita().score(good.pool, good).values, scores.values[[0, 8]], rtol=1e-5)
    assert scores.columns["by_turn"][6].endswith("*nan")


def test_an_answer_that_is_cut_leaves_the_end_of_the_template_whole(model, make_desk):
    desk = make_desk([BAD[4]], model)
    quality = Deita(rate="quality").score(desk.pool, desk).values[0]
    before, after = texts("asked", "\1")[1].split("\1")
    kept = "a" * (model.max_length - len(before) - len(after))
    assert quality == pytest.approx(by_hand(model, before + kept + after)[0], rel=1e-4)


def test_official_rates_what_does_not_fit_three_and_says_so(model, make_desk):
    desk = make_desk(BAD, model)
    scores = Deita(mode="official").score(desk.pool, desk)
    assert scores.notes == {3: "fallback_score", 4: "fallback_score"}
    assert scores.values[3] == 9.0
    assert scores.columns["quality"][4] == 3.0
    assert set(scores.reasons) == {1, 2, 5, 6, 7}


def test_an_answer_to_nothing_has_quality_and_no_complexity(model, make_desk):
    desk = make_desk([("", "unasked")], model)
    scores = Deita(rate="quality").score(desk.pool, desk)
    assert np.isfinite(scores.values[0])
    assert scores.notes == {0: "empty_instruction"}


def test_a_broken_model_gives_reasons_and_not_numbers(make_model, make_desk):
    model = make_model()
    model.model.transformer.ln_f.weight.data.fill_(torch.nan)
    desk = make_desk(ROWS[:2], model)
    scores = Deita().score(desk.pool, desk)
    assert scores.reasons == {0: "non_finite", 1: "non_finite"}
    assert scores.report["quality"]["mean_digit_mass"] is None


def test_a_model_that_raises_gives_reasons(make_model, make_desk):
    model = make_model()

    def run(passages, *, statistics):
        raise RuntimeError("out of order")

    model.run = run
    desk = make_desk(ROWS[:2], model)
    assert Deita().score(desk.pool, desk).reasons == {0: "model_error", 1: "model_error"}
    assert any("out of order" in line for line in desk.logged)


def test_turns_are_joined_row_by_row():
    products, counts = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 3])
    assert joined(products, counts, "sum").tolist()[::2] == [1.0, 9.0]
    assert joined(products, counts, "mean").tolist()[::2] == [1.0, 3.0]
    assert joined(products, counts, "first").tolist()[::2] == [1.0, 2.0]
    assert np.isnan(joined(products, counts, "sum")[1])


def test_the_authors_code_knows_no_other_way_than_the_sum():
    with pytest.raises(ValueError, match="mode=paper"):
        Deita(mode="official", turns="mean")
