"""A judge of known faults: the card finds each of them inside its interval, as often as the interval says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sftbench.judging.card import equal, family, gold, orders, padding, repeats
from sftbench.judging.card.ask import asked, chosen_pairs, findings_of
from sftbench.judging.card.card import JudgeCard, card_of
from sftbench.judging.card.failures import FAILED, failure_findings
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.judged import JudgedPairs
from sftbench.judging.card.material import Material, Pair, Sampler
from sftbench.judging.card.own import own_pairs
from sftbench.judging.card.readings import Readings, readings_of
from sftbench.rooms import Verdicts


def card_by(judge, material, *, num=None, model="", again=None, seed=0):
    pairs = chosen_pairs(material, Sampler(most=num, seed=seed))
    told = asked(judge, pairs)
    repeated = asked(again, {orders.NAME: pairs[orders.NAME]}) if again else None
    findings = findings_of(told, model=model, again=repeated)
    return card_of(findings, judge={"part": "simulated@1"}, sample=str(num), seed=seed)


def the(card, measure, probe=None):
    found = [
        each for each in card.findings if each.measure == measure and not each.group and probe in (None, each.probe)
    ]
    return found[0]


def holds(finding, truth):
    return finding.low <= truth <= finding.high


FAULTS = {
    "flips": ({"flips": 0.3, "right": 0.9}, orders.FLIPS, None, 30),
    "leaning": ({"lean": 0.4}, orders.POSITION, None, 20),
    "right in 80 %": ({"right": 0.8}, gold.S2, gold.OWN, 80),
    "guessing": ({"right": 0.5}, gold.S2, gold.OWN, 50),
    "ties": ({"right": 0.9, "flips": 0.3}, gold.S1, gold.OWN, 63),
    "half of it ties": ({"right": 0.9, "flips": 0.5}, gold.FOR_GOLD, gold.OWN, 70),
    "likes length": ({"likes_length": 0.4}, padding.SHIFT_EQUAL, None, 20),
    "likes length on the worse": ({"likes_length": 0.4}, padding.SHIFT_WORSE, None, None),
    "silent": ({"silent": 0.1}, FAILED, None, 10),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_inside_its_interval_as_often_as_that_says(simulated, name):
    faults, measure, probe, truth = FAULTS[name]
    pairs = own_pairs(100, seed=1)
    if truth is None:
        # Of the worse answers some were longer already, and won by that.
        truth = 40 * (1 - np.mean([_worse_is_longer(pair) for pair in pairs]))
    inside = []
    for seed in range(40):
        judge = simulated(pairs, seed=seed, **faults)
        inside.append(holds(the(card_by(judge, Material(own=pairs)), measure, probe), truth))
    assert np.mean(inside) >= 0.95 - 3 * (0.95 * 0.05 / len(inside)) ** 0.5


def _worse_is_longer(pair):
    worse, better = (pair.baseline, pair.model) if pair.gold else (pair.model, pair.baseline)
    return len(worse) > len(better)


def test_a_judge_without_faults_qualifies(simulated):
    pairs = own_pairs(150, seed=2)
    judge = simulated(pairs)
    assert card_by(judge, Material(own=pairs), again=simulated(pairs)).passes is None, "sums qualify nobody"
    card = card_by(judge, Material(labelled=pairs), again=simulated(pairs))
    assert card.passes is True
    assert card.words[-1] == "It qualifies as a judge."
    assert the(card, equal.RATE).value == 50
    assert the(card, orders.FLIPS).value == 0
    assert the(card, repeats.MEASURE).value == 0
    assert card.agreement.value == 100


def test_a_judge_whose_verdicts_cannot_be_read_gets_a_card_that_says_so(simulated):
    pairs = own_pairs(30, seed=2)
    card = card_by(simulated(pairs, silent=1.0), Material(own=pairs))
    assert card.passes is False
    assert card.agreement is None
    assert "No verdict of this judge could be read" in card.words[0]
    assert the(card, FAILED).value == 100


def test_labels_of_a_file_decide_where_they_are_given(simulated):
    pairs = own_pairs(60, seed=3)
    turned = [replace(pair, gold=1 - pair.gold) for pair in pairs]
    card = card_by(simulated(pairs), Material(own=pairs, labelled=turned))
    assert (card.agreement.on, card.agreement.value) == (gold.LABELS, 0)
    assert "worse than chance" in card.words[0]


def test_what_two_probes_have_in_common_is_asked_once(simulated):
    pairs = own_pairs(60, seed=3)
    judge = simulated(pairs)
    card_by(judge, Material(own=pairs))
    # The tasks themselves, copies against themselves, filler on an equal, filler on the worse.
    assert judge.num_asked == 4 * 60


def test_a_short_card_asks_some_of_what_a_long_one_asks():
    pairs = own_pairs(80, seed=4)
    short, long = ({pair.id for pair in Sampler(most=most, seed=7).of(pairs)} for most in (20, 50))
    assert len(short) == 20
    assert short < long
    assert {pair.id for pair in Sampler(most=20, seed=8).of(pairs)} != short


def test_asked_again_a_judge_that_draws_lots_contradicts_itself_half_of_the_time(simulated):
    pairs = own_pairs(400, seed=5)
    first, second = (simulated(pairs, right=0.5, seed=seed) for seed in (1, 2))
    card = card_by(first, Material(own=pairs), again=second)
    assert holds(the(card, repeats.MEASURE), 50)
    assert holds(the(card, repeats.REVERSED), 50)


def test_chances_of_single_orders_tell_position_bias_and_the_noise_of_a_verdict():
    """Readings with item effects of variance 0.01, noise of variance 0.02 each: the mean of two has 0.01 of noise."""
    draw = np.random.default_rng(6)
    num = 20000
    items = draw.normal(0, 0.1, num)
    noise = draw.normal(0, 0.02**0.5, (2, num))
    readings = Readings(
        ids=tuple(map(str, range(num))),
        model_first=0.55 + items + noise[0],
        baseline_first=0.55 - items + noise[1],
        preference=0.5 + items + (noise[0] - noise[1]) / 2,
        flags=(frozenset(),) * num,
    )
    found = {each.measure: each for each in orders.order_findings(readings)}
    assert holds(found[orders.POSITION], 5)
    assert orders.noise_part(readings) == pytest.approx(0.5, abs=0.02)
    assert found[orders.NOISE].value == pytest.approx(50, abs=2)


def test_readings_come_from_labels_or_chances():
    columns = {
        "model_first": ["A>>B", "A=B", "B>A", None],
        "baseline_first": ["B>A", "A=B", "B<<A", "nonsense"],
        "flags": [[], [], ["judge_truncated"], ["unparsable"]],
    }
    found = readings_of(Verdicts(ids=tuple("abcd"), preference=np.array([1, 0.5, 0.5, np.nan]), columns=columns))
    assert found.model_first.tolist()[:3] == [1, 0.5, 0]
    assert found.baseline_first.tolist()[:3] == [0, 0.5, 1]
    assert np.isnan([found.model_first[3], found.baseline_first[3]]).all()
    first, second = found.in_both_orders
    assert first[:3].tolist() == [1, 0, -1]
    assert second[:3].tolist() == [1, 0, -1]
    chances = {"model_first_chance": [0.9], "baseline_first_chance": [None], "baseline_first": ["B>A"]}
    found = readings_of(Verdicts(ids=("a",), preference=np.array([0.85]), columns=chances))
    assert (found.model_first[0], found.baseline_first[0]) == (0.9, 0.0)


def test_what_was_never_asked_is_no_parse_failure():
    readings = Readings(
        ids=tuple("abcd"),
        model_first=np.full(4, np.nan),
        baseline_first=np.full(4, np.nan),
        preference=np.array([1.0, np.nan, np.nan, np.nan]),
        flags=(frozenset(), frozenset({"over_budget"}), frozenset({"unparsable"}), frozenset()),
    )
    found = {each.measure: each for each in failure_findings([readings]) if not each.group}
    assert found[FAILED].value == pytest.approx(100 * 2 / 3)
    assert found[FAILED].num == 3
    assert found["not judged"].value == 25


def test_self_preference_is_told_against_the_labels_and_not_against_a_half():
    """The judge's family deserves 60 % by the labels and gets 75 %: that it wins more often than not is no bias."""
    draw = np.random.default_rng(9)
    pairs, preference = [], []
    for number in range(600):
        own_is_model = draw.random() < 0.5
        names = ("Qwen2.5-7B-Instruct", "gpt-4-0314") if own_is_model else ("gpt-4-0314", "Qwen2.5-7B-Instruct")
        own_better = draw.random() < 0.6
        own_wins = own_better or draw.random() < 0.375
        pairs.append(
            Pair(id=str(number), prompt="p", model="a", baseline="b", gold=float(own_better == own_is_model),
                 by_model=names[0], by_baseline=names[1])
        )  # fmt: skip
        preference.append(float(own_wins == own_is_model))
    readings = readings_of(Verdicts(ids=tuple(pair.id for pair in pairs), preference=np.array(preference)))
    judged = {gold.LABELS: JudgedPairs.of(pairs, readings)}
    (found,) = family.family_findings(judged, "Qwen3-8B")
    assert holds(found, 15)
    assert found.low > 0
    for model, part in (("llama-3-8b", "no labelled pair"), ("judge", "name tells no family")):
        (untold,) = family.family_findings(judged, model)
        assert untold.value is None
        assert part in untold.note
    assert "--labels" in family.family_findings({}, "Qwen3-8B")[0].note


@pytest.mark.parametrize(
    ("name", "own"),
    [("gpt-4o-mini", "gpt"), ("vicuna-13b-v1.5", "llama"), ("FuseChat-Llama-3.2-1B-Instruct", "llama"),
     ("DeepSeek-R1-Distill-Llama-8B", None), ("tiny-judge", None), ("phi-2-sft", "phi")],
)  # fmt: skip
def test_a_family_is_told_by_the_name_or_not_at_all(name, own):
    assert family.family_of(name) == own


def test_filler_says_nothing_and_makes_every_answer_longer():
    for answer in ("Yes.", "word " * 500):
        padded = padding.padded(answer)
        assert padded.startswith(answer.rstrip())
        assert len(padded) >= 1.4 * len(answer)
        assert len(padded) >= 300
        assert padded.endswith(".")


def test_own_tasks_have_the_right_answer_marked():
    for pair in own_pairs(50, seed=11):
        right, wrong = (pair.model, pair.baseline) if pair.gold else (pair.baseline, pair.model)
        assert right != wrong
        if pair.group == "sum":
            numbers = [int(each) for each in pair.prompt.rstrip("?").split() if each.isdigit()]
            assert right.endswith(f"= {sum(numbers)}.")
        if pair.group == "order":
            words = right.rstrip(".").split(", ")
            assert words == sorted(words)
            assert wrong.rstrip(".").split(", ") != sorted(words)


def test_a_card_comes_back_from_its_text(simulated):
    pairs = own_pairs(30, seed=12)
    card = card_by(simulated(pairs, right=0.7, flips=0.2), Material(own=pairs))
    again = JudgeCard.from_json(card.to_json(), where="here")
    assert again.to_json() == card.to_json()
    assert again.words == card.words
    assert all(isinstance(each, Finding) for each in again.findings)
