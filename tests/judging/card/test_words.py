"""What a card says in words: plain, and no more than its intervals do."""

from __future__ import annotations

import pytest

from sftbench.judging.card import failures, gold, orders, padding
from sftbench.judging.card.card import card_of
from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.intervals import share


def of(probe, measure, hits, num, **more):
    return percent(probe, measure, share(hits, num), num, **more)


def points(probe, measure, value, low, high, num=100):
    return Finding(probe=probe, measure=measure, value=value, low=low, high=high, num=num, unit="points")


GOOD = {
    "agreement": of(gold.NATURAL, gold.S2, 88, 100),
    "failures": of(failures.NAME, failures.FAILED, 0, 400),
    "flips": of(orders.NAME, orders.FLIPS, 10, 100),
    "position": points(orders.NAME, orders.POSITION, 1.0, -3.0, 5.0),
    "length": points(padding.EQUAL, padding.SHIFT_EQUAL, 2.0, -3.0, 7.0),
}


def card(**changes):
    found = [each for each in {**GOOD, **changes}.values() if each is not None]
    return card_of(found, judge={"part": "j@1"}, sample="100", seed=0)


def test_a_good_judge_qualifies():
    found = card()
    assert found.passes is True
    assert found.words == (
        "This judge agrees with the gold labels of LLMBar's natural pairs in 88 % [80, 93] of the 100 cases in which "
        "it named a winner, which is what is asked of a judge (78 %).",
        "Its verdict changed with the order of the answers in 10 % [6, 17] of 100 pairs.",
        "It qualifies as a judge.",
    )


@pytest.mark.parametrize(
    ("hits", "num", "part", "passes"),
    [
        (196, 400, "no better than chance (50 %): win rates by it say nothing", False),
        (80, 400, "worse than chance (50 %): it prefers the worse answer", False),
        (7, 12, "too few to tell that from chance (50 %), or from the 78 %", False),
        (10, 12, "which is what is asked of a judge (78 %); the interval reaches below that", True),
        (4, 5, "too few to tell that from chance", False),
        (280, 400, "better than chance (50 %), but less than the 78 % that is asked of a judge.", False),
        (75, 100, "less than the 78 % that is asked of a judge (the interval reaches above that)", False),
    ],
)
def test_agreement_is_told_as_its_interval_allows(hits, num, part, passes):
    found = card(agreement=of(gold.NATURAL, gold.S2, hits, num))
    assert part in found.words[0]
    assert found.passes is passes


def test_human_labels_tell_more_than_llmbar_and_adversarial_pairs_qualify_nobody():
    found = card(
        human=of(gold.LABELS, gold.S2, 60, 100),
        adversarial=of(gold.ADVERSARIAL, gold.S2, 30, 100),
    )
    assert found.agreement.on == gold.LABELS
    assert found.passes is False
    alone = card(agreement=of(gold.ADVERSARIAL, gold.S2, 30, 100))
    assert alone.agreement is None
    assert alone.passes is None
    assert alone.words[-1] == "Whether it qualifies cannot be told: agreement not measured."


def test_a_judge_that_never_names_a_winner_says_nothing():
    found = card(
        agreement=of(gold.NATURAL, gold.S2, 0, 0, note="the judge never named a winner"),
        ties=of(gold.NATURAL, gold.S1, 0, 100),
        flips=of(orders.NAME, orders.FLIPS, 100, 100),
    )
    assert "never named the same winner in both orders on 100 pairs" in found.words[0]
    assert "win rates by it say nothing" in found.words[0]
    assert found.passes is False


def test_many_ties_are_told():
    found = card(agreement=of(gold.NATURAL, gold.S2, 18, 20), ties=of(gold.NATURAL, gold.S1, 18, 100))
    assert "It named a winner in only 20 of 100 of these pairs; the others are ties." in found.words


@pytest.mark.parametrize(
    ("name", "finding", "part"),
    [
        ("failures", of(failures.NAME, failures.FAILED, 9, 300), "for 3.0 % [1.6, 5.6] of 300 pairs, and below 1 %"),
        ("flips", of(orders.NAME, orders.FLIPS, 45, 100), "in 45 % [36, 55] of 100 pairs; at most 30 % is asked"),
        ("position", points(orders.NAME, orders.POSITION, -14.0, -19.0, -9.0), "listed second by -14 points [-19, -9]"),
        (
            "length",
            points(padding.EQUAL, padding.SHIFT_EQUAL, 21.0, 12.0, 30.0),
            "by +21 points [+12, +30]; at most 10",
        ),
    ],
)
def test_each_fault_is_told_and_disqualifies(name, finding, part):
    found = card(**{name: finding})
    assert any(part in sentence for sentence in found.words)
    assert found.passes is False
    assert found.words[-1].startswith("It does not qualify as a judge: ")


def test_a_bias_that_may_be_none_is_not_told():
    assert not any("leans" in each or "Filler" in each for each in card().words)


def test_what_was_not_asked_leaves_it_open():
    found = card(agreement=None)
    assert found.passes is None
    assert found.words[0] == "How often this judge is right is not known: it was asked nothing with gold labels."
    assert card(length=None).passes is True


def test_agreement_right_on_the_demand_is_called_narrow():
    assert card(agreement=of(gold.NATURAL, gold.S2, 80, 100)).words[-1] == (
        "It qualifies as a judge, narrowly in agreement."
    )
