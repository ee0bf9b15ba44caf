"""Pairs from files: LLMBar and others as they are, and files that are refused with their line."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from sftbench.errors import UsageError
from sftbench.judging.card import gold, orders, padding
from sftbench.judging.card.ask import asked, chosen_pairs, findings_of
from sftbench.judging.card.card import card_of
from sftbench.judging.card.material import Sampler, read_labels, read_material
from sftbench.judging.card.render import card_markdown, card_rows, short_rows


@pytest.fixture(scope="module")
def data(reference_data):
    return read_material(reference_data / "data")


def test_llmbar_is_read_whole(data):
    assert (len(data.gold), len(data.adversarial)) == (100, 319)
    assert {pair.group for pair in data.gold} == {"Natural"}
    assert {pair.gold for pair in data.gold} == {0.0, 1.0}
    assert data.missing == ()


def test_natural_pairs_are_of_two_models_on_one_prompt(data):
    assert len(data.natural) > 790
    assert all(pair.by_model != pair.by_baseline and pair.model != pair.baseline for pair in data.natural)
    names = [name for pair in data.natural for name in (pair.by_model, pair.by_baseline)]
    assert min(names.count(name) for name in set(names)) > 150


def test_a_simulated_judge_gets_the_card_it_deserves_on_llmbar(data, simulated):
    """Right in 85 % of the natural pairs, in 40 % of the adversarial ones; leans to the first place in 20 %."""
    pairs = [*data.gold, *data.adversarial]
    judge = simulated(pairs, right=0.85, lean=0.2, seed=3)
    adversarial = {(pair.prompt, pair.model) for pair in data.adversarial}
    easy = judge.better

    def better(prompt, model, baseline):
        truth = easy(prompt, model, baseline)
        # Turned over in a share that leaves 40 % right after the errors of the judge itself.
        misled = truth is not None and (prompt, model) in adversarial and judge.draw.random() < 0.45 / 0.7
        return (not truth) if misled else truth

    judge.better = better
    told = asked(judge, chosen_pairs(data, Sampler(most=None, seed=0)))
    card = card_of(findings_of(told, model="judge"), judge={"part": "simulated@1"}, sample="all", seed=0)
    found = {(each.probe, each.measure): each for each in card.findings if not each.group}
    for probe, measure, truth in (
        (gold.NATURAL, gold.S2, 85),
        (gold.NATURAL, gold.S1, 68),
        (gold.NATURAL, gold.FOR_GOLD, 78),
        (gold.ADVERSARIAL, gold.S2, 40),
        (orders.NAME, orders.POSITION, 10),
        (orders.NAME, orders.FLIPS, None),
    ):
        finding = found[probe, measure]
        # Natural pairs have no gold label: this judge calls them a tie where it does not lean.
        truth = 20 if truth is None else truth
        assert finding.low <= truth <= finding.high, (probe, measure, finding)
    groups = {each.group: each.num for each in card.findings if each.measure == gold.S1 and each.group}
    assert groups == {
        "Adversarial/GPTInst": 92,
        "Adversarial/GPTOut": 47,
        "Adversarial/Manual": 46,
        "Adversarial/Neighbor": 134,
    }
    assert card.agreement.on == gold.NATURAL
    text = card_markdown(card)
    assert all(sentence in text for sentence in card.words)
    assert len(card_rows(card)) == len(card.findings)
    assert len(short_rows(card)) < len(card.findings)


def test_a_sample_of_llmbar_is_the_same_every_time(data):
    one, other = (chosen_pairs(data, Sampler(most=20, seed=5)) for _ in range(2))
    assert one == other
    assert {len(pairs) for pairs in one.values()} == {20}
    assert [pair.id for pair in one[padding.WORSE]] == [pair.id for pair in one[gold.NATURAL]]


def test_labels_may_be_votes_names_and_ties(tmp_path):
    rows = [
        {"instruction": "a", "output_1": "x", "output_2": "y", "gold": 1, "generator_1": "gpt-4"},
        {"id": "q", "instruction": "b", "output_1": "x", "output_2": "y", "gold": "tie"},
        {"id": 7, "instruction": "c", "output_1": "x", "output_2": "y", "preference": 0.25, "category": "maths"},
    ]
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    found = read_labels(path)
    assert [pair.gold for pair in found] == [1.0, 0.5, 0.25]
    assert [pair.id for pair in found] == ["1", "q", "7"]
    assert (found[0].by_model, found[2].group) == ("gpt-4", "maths")
    used = chosen_pairs(read_material(None, read_labels(path)), Sampler(most=None, seed=0))
    assert [pair.id for pair in used[padding.WORSE]] == ["1", "7"]


GOOD = {"id": "a", "instruction": "a", "output_1": "x", "output_2": "y", "gold": 1}


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (["{}"], "line 1: 'instruction' must be a text"),
        ([json.dumps(GOOD), json.dumps({**GOOD, "id": "b", "gold": 3})], "line 2: needs 'gold' (1, 2 or \"tie\")"),
        ([json.dumps({**GOOD, "gold": None, "preference": 1.5})], "line 1: needs 'gold'"),
        ([json.dumps(GOOD), json.dumps(GOOD)], "the id 'a' occurs twice"),
        (['{"id": '], "line 1: "),
        (['"text"'], "line 1: a str where a row (a JSON object) is expected"),
        ([], "holds no labels"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_with_the_line(tmp_path, lines, part):
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r".") as problem:
        read_labels(path)
    assert part in str(problem.value)


def test_what_is_not_there_is_named(tmp_path):
    assert read_material(tmp_path).missing == (
        "llmbar.jsonl", "alpaca_eval_805.jsonl", "alpaca_eval_outputs.jsonl",
    )  # fmt: skip
    with pytest.raises(UsageError, match="there is no folder"):
        read_material(tmp_path / "nowhere")
    (tmp_path / "llmbar.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(UsageError, match="not a whole gzip file"):
        read_material(tmp_path)


def test_gold_labels_are_not_the_order_of_the_answers(data):
    """A judge that always says the first answer of a file is right is at chance on the natural pairs."""
    assert 0.35 < np.mean([pair.gold for pair in data.gold]) < 0.65
