"""The scorer from ratings to scores: what the language model said, what neighbours made of it, and the long tail."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench_plugins.ds2.curation import long_tail
from sftbench_plugins.ds2.neighbours import Neighbours
from sftbench_plugins.ds2.scorer import Ds2

QUICK = {"num_rounds": 10, "num_epochs": 15}


@pytest.fixture
def rated_desk(make_desk, make_chat, make_rated):
    """Rows in clusters whose numbers the language model is asked about and rates with known errors."""

    def make(num_rows=240, *, replies=None, **more):
        rated = make_rated(num_rows)
        ratings = [int(each) + 4 for each in rated.noisy]

        def answer(text, attempt):
            at = int(text.split("number ")[1].split(".")[0])
            return (replies or {}).get(at, json.dumps({"overall": ratings[at]}))

        rows = [(f"number {at}.", f"text {at}") for at in range(num_rows)]
        return make_desk(rows, vectors=rated.vectors, talker=make_chat(answer), **more), rated

    return make


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_a_score_is_the_corrected_class_plus_the_long_tail(rated_desk, mode):
    desk, rated = rated_desk()
    scores = Ds2(mode=mode, duplicate="no", **QUICK).score(desk.pool, desk)
    columns = scores.columns
    assert columns["rating_raw"].tolist() == rated.noisy.tolist()
    assert columns["overall"].tolist() == (rated.noisy + 4).tolist()
    accuracy = [(columns[name] == rated.true).mean() for name in ("rating_raw", "rating")]
    assert accuracy[1] > accuracy[0] + 0.1
    distances = Neighbours(vectors=rated.vectors).everywhere(10)[1]
    np.testing.assert_allclose(columns["long_tail"], long_tail(distances, rounded=mode == "official"), atol=1e-6)
    np.testing.assert_allclose(scores.values, columns["rating"] + columns["long_tail"])
    assert (columns["long_tail"] < 1).all()
    changed = columns["rating"] != columns["rating_raw"]
    assert (columns["suggestion"][changed] == columns["rating"][changed]).all()
    assert (columns["confidence"][changed] >= 0.5).all()
    assert scores.report["num_replaced"] == changed.sum()
    assert scores.report["ratings"] == "scripted"
    assert scores.report["share_unread"] == 0
    assert scores.report["classes_raw"] == {str(each): int((rated.noisy == each).sum()) for each in range(6)[::-1]}
    assert desk.spent["flops"] > 0
    assert not desk.stand_ins
    assert desk.units == ["row", "sample"]


def test_mode_official_puts_every_row_in_twice(rated_desk):
    desk, rated = rated_desk()
    official, plain = (Ds2(mode="official", duplicate=each, **QUICK).score(desk.pool, desk) for each in ("auto", "no"))
    assert official.report["duplicate"] is True
    assert plain.report["duplicate"] is False
    assert official.report["agreement_with_nearest"] > plain.report["agreement_with_nearest"] + 0.2
    twice = Neighbours(vectors=rated.vectors, copies=2).everywhere(10)[1]
    np.testing.assert_allclose(official.columns["long_tail"], long_tail(twice, rounded=True), atol=1e-4)
    four = Neighbours(vectors=rated.vectors).everywhere(5)[1][:, 1:]
    np.testing.assert_allclose(twice.mean(1), 0.8 * four.mean(1), atol=1e-6)
    assert Ds2(**QUICK).score(desk.pool, desk).report["duplicate"] is False


def test_the_seed_decides_the_samples(rated_desk):
    def confidence(mode, seed):
        desk, _ = rated_desk(seed=seed)
        return Ds2(mode=mode, **QUICK).score(desk.pool, desk).columns["noisy"]

    for mode in ("paper", "official"):
        np.testing.assert_array_equal(confidence(mode, 1), confidence(mode, 1))
        assert not np.array_equal(confidence(mode, 1), confidence(mode, 2))


def test_without_a_language_model_perplexity_stands_in_and_is_named(make_desk):
    words = np.random.default_rng(3).integers(97, 123, size=(60, 9)).astype(np.uint8)
    desk = make_desk([("say it", bytes(each).decode()) for each in words])
    scores = Ds2(**QUICK).score(desk.pool, desk)
    assert desk.stand_ins == ["ratings from perplexity (low-perplexity is rated high)"]
    assert scores.report["ratings"] == "stand-in: ratings from perplexity (low-perplexity is rated high)"
    assert np.bincount(scores.columns["rating_raw"].astype(int)).tolist() == [10] * 6
    needs = Ds2().needs()
    assert needs.chat
    assert needs.embeddings == ("both",)


def test_unreadable_ratings_stay_out_and_in_mode_official_are_class_0(rated_desk):
    unread = {3: "hm", 50: "no answer", 77: "{}"}
    desk, _ = rated_desk(replies=unread)
    scores = Ds2(**QUICK).score(desk.pool, desk)
    assert scores.reasons == {3: "parse_error", 50: "model_error", 77: "parse_error"}
    assert np.isnan(scores.values[list(unread)]).all()
    assert np.isfinite(np.delete(scores.values, list(unread))).all()
    assert np.isnan(scores.columns["long_tail"][list(unread)]).all()
    assert scores.report["num_rows_in_curation"] == 237
    assert scores.report["share_unread"] == pytest.approx(3 / 240)
    official = Ds2(mode="official", **QUICK).score(desk.pool, desk)
    assert not official.reasons
    assert official.columns["rating_raw"][list(unread)].tolist() == [0, 0, 0]
    assert official.notes == {3: "parse_error", 50: "model_error", 77: "parse_error"}


def test_many_unreadable_ratings_are_told(rated_desk):
    desk, _ = rated_desk(replies=dict.fromkeys(range(20), "hm"))
    Ds2(**QUICK).score(desk.pool, desk)
    assert any("8.3% of the ratings could not be read" in line for line in desk.logged)


def test_rows_without_a_place_keep_their_rating_and_stay_out_of_the_curation(rated_desk):
    desk, rated = rated_desk()
    desk.vectors = rated.vectors.copy()
    desk.vectors[7], desk.vectors[8] = np.nan, 0
    scores = Ds2(**QUICK).score(desk.pool, desk)
    assert scores.values[[7, 8]].tolist() == rated.noisy[[7, 8]].tolist()
    assert scores.notes == {7: "non_finite", 8: "non_finite"}
    assert scores.report["num_rows_in_curation"] == 238
    assert np.isnan(scores.columns["noisy"][[7, 8]]).all()


@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_a_pool_of_a_few_rows_is_scored_without_curation(rated_desk, num_rows):
    desk, rated = rated_desk(num_rows)
    scores = Ds2(**QUICK).score(desk.pool, desk)
    assert scores.report["curation"] == "curation_skipped"
    assert scores.columns["rating"].tolist() == rated.noisy.tolist()
    assert np.isfinite(scores.values).all()


def test_a_pool_of_one_class_is_scored_without_curation(make_desk, make_chat):
    desk = make_desk([(f"ask {at}", "tell") for at in range(30)], talker=make_chat(lambda text, at: '{"overall": 7}'))
    scores = Ds2(**QUICK).score(desk.pool, desk)
    assert scores.report["curation"] == "curation_skipped"
    assert set(scores.columns["rating"]) == {3.0}


def test_texts_that_stand_twice_are_told(make_desk, make_chat):
    rows = [("ask", "tell")] * 3 + [("ask", "else")]
    desk = make_desk(rows, talker=make_chat(lambda text, at: '{"overall": 7}'))
    assert Ds2(**QUICK).score(desk.pool, desk).report["share_of_duplicate_texts"] == 0.5


@pytest.mark.parametrize("name", ["num_rounds", "num_epochs", "neighbours", "sample_size", "attempts", "max_length"])
def test_numbers_that_make_no_sense_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is at least"):
        Ds2(**{name: 0})
