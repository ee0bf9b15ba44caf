"""The scorer as a step calls it: with a chat model, without one, and with rows that are not as they should be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import Ragged, SftbenchError
from sftbench_plugins.tagging.scorer import STAND_IN, Tags


def words_as_tags(text):
    return json.dumps({"tags": text.split()})


def user(text, answer="fine"):
    return [("user", text), ("assistant", answer)]


def lists(column):
    assert isinstance(column, Ragged)
    return [each.tolist() for each in column]


def test_the_score_is_the_number_of_distinct_raw_tags(make_pool, make_desk, make_tagger):
    pool = make_pool([user("a b a"), user("a c"), user("b a")])
    desk = make_desk(chat_model=make_tagger(words_as_tags))
    scores = Tags(rule_confidence=0).score(pool, desk)
    assert scores.values.tolist() == [2, 2, 2]
    assert lists(scores.columns["raw_tags"]) == [["a", "b"], ["a", "c"], ["b", "a"]]
    assert lists(scores.columns["tags"]) == [["a", "b"], ["a", ""], ["b", "a"]]
    assert scores.columns["num_tags"].tolist() == [2, 1, 2]
    assert scores.report["tagger"] == "made-up"
    assert scores.report["num_distinct_tags"] == {"raw": 3, "frequent": 2, "stemmed": 2, "not_finite": 0, "embedded": 2}


def test_all_stages_of_the_normalisation_follow_each_other(make_pool, make_desk, make_tagger):
    texts = ["Maths algebra proof", "math algebra proof", "Maths algebra", "verse poem", "poems verse", "verse", "once"]

    def encode(names):
        """Every tag has a direction of its own, but `algebra` and `proof` share one."""
        places = [names.index("algebra") if name == "proof" else at for at, name in enumerate(names)]
        return np.eye(len(names), dtype=np.float32)[places]

    pool = make_pool([user(text) for text in texts])
    desk = make_desk(chat_model=make_tagger(words_as_tags), encode=encode)
    scores = Tags(frequency_floor=1, rule_support=3, merge_distance=0.01).score(pool, desk)
    # Maths, math; algebra, proof; verse, poem, poems; once. Then every row of maths has algebra too and the
    # other way round, in three rows, but poems stand in two rows only.
    stages = {"raw": 8, "frequent": 8, "stemmed": 6, "not_finite": 0, "embedded": 5, "associated": 4}
    assert scores.report["num_distinct_tags"] == stages
    tags = lists(scores.columns["tags"])
    assert [set(each) for each in tags[:3]] == [{"Maths"}] * 3
    assert [set(each) for each in tags[3:]] == [{"verse", "poem"}, {"verse", "poem"}, {"verse"}, {"once"}]


def test_without_a_chat_model_key_phrases_stand_in(make_pool, make_desk):
    pool = make_pool([user("solve the equation"), user("solve the riddle"), user("guess the riddle")])
    desk = make_desk()
    scores = Tags().score(pool, desk)
    assert desk.stand_ins == [STAND_IN]
    assert scores.report["tagger"] == STAND_IN
    assert lists(scores.columns["raw_tags"]) == [["solve"], ["solve", "riddle"], ["riddle"]]


def test_a_bad_row_changes_nothing_for_the_others(make_pool, make_desk, make_tagger):
    good = [user("a b"), user("b c"), user("a c")] * 6
    bad = [user(""), user("  \n"), user("garbage"), user("a b", answer="")]
    desk = make_desk(chat_model=make_tagger(lambda text: text if text == "garbage" else words_as_tags(text)))
    rows = good[:9] + bad + good[9:]
    scores, plain = Tags().score(make_pool(rows), desk), Tags().score(make_pool(good), desk)
    keep = [*range(9), *range(13, 22)]
    np.testing.assert_array_equal(scores.values[keep], plain.values)
    kept = lists(scores.columns["tags"])
    assert [kept[at] for at in keep] == lists(plain.columns["tags"])
    assert scores.values[9:13].tolist() == [0, 0, 0, 2]
    assert scores.notes == {9: "empty_instruction", 10: "empty_instruction", 11: "parse_error"}
    assert not scores.reasons
    assert len(desk.chat_model.asked) == 20 + 18, "an empty text is not sent"


def test_a_long_text_is_cut_for_the_model_and_noted(make_pool, make_desk, make_tagger):
    tagger = make_tagger(words_as_tags)
    scores = Tags(max_characters=3).score(make_pool([user("a b c d"), user("a b")]), make_desk(chat_model=tagger))
    assert lists(scores.columns["raw_tags"]) == [["a", "b"], ["a", "b"]]
    assert scores.notes == {0: "prompt_truncated"}


def test_failures_are_told_and_too_many_are_refused(make_pool, make_desk, make_tagger):
    desk = make_desk(chat_model=make_tagger(lambda text: "no" if text == "x" else words_as_tags(text)))
    Tags().score(make_pool([user("x")] + [user("a b")] * 9), desk)
    assert any("1 of 10 rows" in line for line in desk.logged)
    with pytest.raises(SftbenchError, match="3 of 4 rows"):
        Tags().score(make_pool([user("x")] * 3 + [user("a b")]), desk)


def test_turns_of_one_side_are_tagged_together_or_the_first_alone(make_pool, make_desk, make_tagger):
    pool = make_pool([[("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]] * 2)
    desk = make_desk(chat_model=make_tagger(words_as_tags))

    def raw(**parameters):
        return lists(Tags(**parameters).score(pool, desk).columns["raw_tags"])[0]

    assert raw() == ["a", "c"]
    assert raw(turns="first") == ["a"]
    assert raw(component="response") == ["b", "d"]


def test_rows_whose_tags_were_all_dropped_are_noted(make_pool, make_desk, make_tagger):
    pool = make_pool([user("a"), user("a"), user("rare")])
    scores = Tags().score(pool, make_desk(chat_model=make_tagger(words_as_tags)))
    assert scores.notes == {2: "no_tags"}
    assert scores.columns["num_tags"].tolist() == [1, 1, 0]


def test_the_floor_follows_the_size_of_the_pool(make_pool, make_desk, make_tagger):
    pool = make_pool([user("a b")] * 3)
    desk = make_desk(chat_model=make_tagger(words_as_tags))
    assert Tags().score(pool, desk).report["frequency_floor"] == 2
    assert Tags(frequency_floor=4).score(pool, desk).columns["num_tags"].tolist() == [0, 0, 0]


def test_an_empty_pool_of_tags_is_no_error(make_pool, make_desk, make_tagger):
    scores = Tags().score(make_pool([user("a"), user("b")]), make_desk(chat_model=make_tagger(lambda text: "[]")))
    assert scores.values.tolist() == [0, 0]
    assert lists(scores.columns["tags"]) == [[], []]


@pytest.mark.parametrize(
    "parameters", [{"max_tags": 0}, {"merge_distance": 1.0}, {"rule_confidence": 2}, {"rule_support": 0}]
)
def test_parameters_that_mean_nothing_are_refused(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        Tags(**parameters)
