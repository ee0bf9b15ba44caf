"""Files of verdicts: what is read, what is refused and in which line, and what is counted."""

from __future__ import annotations

import itertools
import math

import pytest

from sftbench.errors import UsageError
from sftbench.judging.battles import expanded
from sftbench.judging.counting import count
from sftbench.judging.verdicts import preference_of_games, read_verdicts

from .conftest import verdict


def refused(path):
    with pytest.raises(UsageError) as problem:
        read_verdicts(path)
    return str(problem.value)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (verdict(1, preference=1.2), "preference 1.2 is not between 0 and 1"),
        (verdict(1, preference=-0.1), "preference -0.1 is not between 0 and 1"),
        (verdict(1, preference="0.5"), "preference: Input should be a valid number"),
        (verdict(1, preference=True), "preference: Input should be a valid number"),
        (verdict(1, prefrence=0.5), "unknown key 'prefrence'; did you mean 'preference'?"),
        (verdict(1, length_model=-1), "length_model"),
        (verdict(1, length_model=2.5), "length_model"),
        (verdict(1, model_first="A>>>B"), "model_first"),
        (verdict(1, flags=["strange"]), "flags.0"),
        (verdict(1, model_first_chance=1.5), "model_first_chance"),
        (verdict(1, tokens_model=-1), "tokens_model"),
        (verdict(1, style_model={"headers": 1, "lists": 2}), "style_model.bolds: Field required"),
        (verdict(1, style_model={"headers": 1, "lists": 2, "bolds": 0, "rules": 1}), "style_model.rules"),
        ({"id": 1, "model": "m", "preference": 0.5}, "baseline: Field required"),
        (verdict(0), "prompt '0' of 'm' was in line 1 already"),
        (verdict("0"), "prompt '0' of 'm' was in line 1 already"),
        (verdict(1) | {"baseline": "other"}, "baseline 'other', but 'b' before"),
        ([1, 2], "line 2"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(verdicts, second, words):
    message = refused(verdicts(verdict(0), second))
    assert "line 2" in message
    assert words in message


def test_text_that_is_no_json_is_refused_with_its_number(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"id": 1, "model": "m", "baseline": "b", "preference": 0.5}\n\n{"id": 2,\n')
    assert "line 3: Invalid JSON" in refused(path)


def test_files_without_verdicts_are_refused(tmp_path, verdicts):
    assert "holds no verdicts" in refused(verdicts())
    assert "cannot read" in refused(tmp_path / "nowhere.jsonl")
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "cannot read" in refused(binary)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_preference_that_is_not_finite_is_a_missing_verdict_and_counted(tmp_path, text):
    path = tmp_path / "verdicts.jsonl"
    path.write_text(f'{{"id": 1, "model": "m", "baseline": "b", "preference": {text}}}\n')
    (found,) = count(read_verdicts(path), mode="paper").models
    assert found.verdicts == ()
    assert (found.num_missing, found.status, found.notes) == (1, "partial", {"non_finite": 1})


def test_verdicts_without_a_label_are_missing_and_never_ties(verdicts):
    path = verdicts(
        verdict(0, preference=1.0),
        verdict(1, preference=None, flags=["unparsable"]),
        verdict(2, preference=None, flags=["no_label_mass"]),
        verdict(3, preference=None, model_first="A>B", baseline_first=None),
        verdict(4, preference=0.0, flags=["judge_truncated"]),
    )
    (found,) = count(read_verdicts(path), mode="paper").models
    assert [each.preference for each in found.verdicts] == [1.0, 0.0]
    assert found.num_missing == 3
    assert found.notes == {"unparsable": 1, "no_label_mass": 1, "judge_truncated": 1}


@pytest.mark.parametrize("flag", ["empty_instruction", "question_too_long"])
def test_a_prompt_that_cannot_be_judged_is_left_out_for_all_models(verdicts, flag):
    path = verdicts(
        verdict(0, "m"),
        verdict(1, "m", preference=None, flags=[flag]),
        verdict(0, "n"),
        verdict(1, "n", preference=1.0),
    )
    tally = count(read_verdicts(path), mode="paper")
    assert tally.prompts == ("0",)
    assert [len(each.verdicts) for each in tally.models] == [1, 1]
    assert [each.status for each in tally.models] == ["complete", "complete"]
    assert tally.models[1].notes == {"not_judged": 1}


def test_empty_answers_are_counted_and_two_of_them_are_even(verdicts):
    path = verdicts(
        verdict(0, preference=0.1, length_model=0, length_baseline=7),
        verdict(1, preference=0.9, length_model=0, length_baseline=0),
        verdict(2, preference=None, length_model=0, length_baseline=0),
    )
    (paper,) = count(read_verdicts(path), mode="paper").models
    assert [each.preference for each in paper.verdicts] == [0.1, 0.5, 0.5]
    assert paper.notes == {"empty_response": 3, "both_empty": 2}
    (official,) = count(read_verdicts(path), mode="official").models
    assert [each.preference for each in official.verdicts] == [0.1, 0.9]


def test_prompts_of_other_models_are_expected_of_all(verdicts):
    tally = count(read_verdicts(verdicts(verdict(0, "m"), verdict(0, "n"), verdict(1, "n"))), mode="paper")
    assert [(each.num_missing, each.status) for each in tally.models] == [(1, "partial"), (0, "complete")]


def test_the_size_of_the_benchmark_may_be_given(verdicts):
    file = read_verdicts(verdicts(verdict(0), verdict(1)))
    assert count(file, mode="paper", num_expected=5).models[0].num_missing == 3
    with pytest.raises(UsageError, match="more than the 1 expected"):
        count(file, mode="paper", num_expected=1)


OUTCOMES = {"A>>B": [1, 1, 1], "A>B": [1], "A=B": [0.5], "A<B": [0], "A<<B": [0, 0, 0]}
MIRRORED = {"A>>B": "B<<A", "A>B": "B<A", "A=B": "B=A", "A<B": "B>A", "A<<B": "B>>A"}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(OUTCOMES, OUTCOMES)))
def test_battles_are_the_game_as_a_and_the_turned_game_as_b(first, second):
    expected = OUTCOMES[second] + [1 - each for each in OUTCOMES[first]]
    assert expanded((first, second)) == expected
    assert expanded((MIRRORED[first], MIRRORED[second])) == expected
    assert len(expanded((first, second), weight=1)) == 2


@pytest.mark.parametrize(
    ("games", "preference"),
    [
        (("B>A", "A>>B"), 1.0),
        (("A>B", "B>A"), 0.0),
        (("A>B", "A>B"), 0.5),
        (("A=B", "A>B"), 0.5),
        (("A=B", "B=A"), 0.5),
    ],
)
def test_labels_that_disagree_are_a_tie(games, preference, verdicts):
    assert preference_of_games(games) == preference
    path = verdicts(verdict(preference=None, baseline_first=games[0], model_first=games[1]))
    assert read_verdicts(path).by_model["m"][0].preference == preference
    path = verdicts(verdict(preference=None, baseline_first=games[0]))
    assert math.isnan(read_verdicts(path).by_model["m"][0].preference)


def test_a_preference_follows_from_the_chances_of_both_games(verdicts):
    chances = {"model_first_chance": 0.9, "baseline_first_chance": 0.3}
    rows = [
        verdict(0, preference=None, **chances),
        verdict(1, preference=0.1, **chances),
        verdict(2, preference=None, model_first_chance=0.9),
    ]
    found = [each.preference for each in read_verdicts(verdicts(*rows)).by_model["m"]]
    assert found[:2] == [pytest.approx((0.9 + 1 - 0.3) / 2), 0.1]
    assert math.isnan(found[2])


def test_an_empty_answer_is_noted_as_the_models_only_where_it_is(verdicts):
    flags = {"flags": ["empty_response"]}
    rows = [
        verdict(0, length_model=0, length_baseline=5, **flags),
        verdict(1, length_model=5, length_baseline=0, **flags),
        verdict(2, **flags),
    ]
    (counted,) = count(read_verdicts(verdicts(*rows)), mode="paper").models
    assert counted.notes["empty_response"] == 2


def test_style_is_controlled_by_tokens_where_the_file_has_them(verdicts):
    from sftbench.judging.battles import battles_of

    lengths = {"length_model": 30, "length_baseline": 10}
    rows = [verdict(0, **lengths), verdict(1, **lengths, tokens_model=4, tokens_baseline=12)]
    tally = count(read_verdicts(verdicts(*rows)), mode="paper")
    found = battles_of(tally.models, {"0": 0, "1": 1}, weight=3, controls=["length"], where="f")
    assert found.style[:, 0].tolist() == [0.5, -0.5]
