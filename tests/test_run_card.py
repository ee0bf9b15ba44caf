"""The card of a run's judge: free from its own verdicts, the rest from what `bench judge check` has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from sftbench.judging.card import failures, gold, orders, padding
from sftbench.judging.card.card import FILE, JudgeCard, card_of
from sftbench.judging.card.finding import percent
from sftbench.judging.card.intervals import share
from sftbench.judging.card.keeping import card_key, keep_card, kept_card
from sftbench.rooms import Verdicts
from sftbench.run_card import card_for, run_findings, write_card
from sftbench.store import Store

ASKING = {"part": "pairwise@1", "parameters": {"seed": 0}, "asks:judge": "http://127.0.0.1:9/v1#m"}


def verdicts(num, *, leaning=0, unread=0, longer=0):
    """`leaning` verdicts name the first answer in both orders, `unread` ones cannot be read, the others are for the
    model, whose answer is the longer one in `longer` of all."""
    labels = [("A>B", "A>B")] * leaning + [(None, None)] * unread + [("A>B", "B>A")] * (num - leaning - unread)
    preference = [0.5] * leaning + [None] * unread + [1.0] * (num - leaning - unread)
    return {
        "baseline": "random",
        "judge": "pairwise",
        "ids": [f"item-{number}" for number in range(num)],
        "preference": preference,
        "columns": {
            "model_first": [first for first, _ in labels],
            "baseline_first": [second for _, second in labels],
            "flags": [["unparsable"] if first is None else [] for first, _ in labels],
            "length_model": [20 if number >= num - longer else 5 for number in range(num)],
            "length_baseline": [10] * num,
        },
    }


@dataclass
class Planned:
    """As much of a run as its card needs."""

    store: Store
    identity: dict
    settings: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(judge="j", chat=None, vllm=None, task_data=None)
    )
    plugins: None = None

    @property
    def plan(self):
        cell = SimpleNamespace(refs=["selection/k", "verdicts/k"])
        return SimpleNamespace(cells=[cell], steps={"verdicts/k": SimpleNamespace(identity=self.identity)})


@pytest.fixture
def planned(tmp_path):
    return Planned(store=Store(tmp_path / "store"), identity={**ASKING, "engine": "3", "lengths": "characters"})


def checked(num, hits=80, judge=ASKING):
    found = [
        percent(gold.NATURAL, gold.S2, share(hits, 100), 100),
        percent(gold.NATURAL, gold.FOR_GOLD, share(hits, 100), 100),
        percent(failures.NAME, failures.FAILED, share(0, num), num),
    ]
    return card_of(found, judge=judge, sample=str(num), seed=0)


def by_measure(found):
    return {each.measure: each for each in found if not each.group}


def test_a_runs_own_verdicts_tell_flips_bias_and_failures():
    raw = verdicts(100, leaning=30, unread=4, longer=50)
    told = [
        Verdicts(ids=tuple(each["ids"]), preference=np.array(each["preference"], dtype=float), columns=each["columns"])
        for each in (raw, verdicts(100, longer=100))
    ]
    found = by_measure(run_findings(told))
    assert (found[orders.FLIPS].value, found[orders.FLIPS].num) == (pytest.approx(100 * 30 / 196), 196)
    assert found[orders.POSITION].value == pytest.approx(100 * 30 / 196 / 2)
    assert (found[failures.FAILED].value, found[failures.FAILED].num) == (2, 200)
    # 66 and 100 named winners, of which 50 and 100 are the longer answers.
    assert (found[padding.LONGER].value, found[padding.LONGER].num) == (pytest.approx(100 * 150 / 166), 166)
    assert {each.probe for each in found.values()} == {"run"}


def test_a_judge_that_asks_no_language_model_has_no_card(planned, tmp_path):
    planned.identity = {"part": "checker@1", "parameters": {"margin": 0}}
    assert card_for(planned, [{"verdicts": verdicts(5)}], None) is None
    (tmp_path / FILE).write_text("of an earlier run")
    write_card(tmp_path, None)
    assert not (tmp_path / FILE).exists()


def test_without_a_check_the_card_leaves_agreement_open(planned, tmp_path):
    card = card_for(planned, [{"verdicts": verdicts(50)}, {"verdicts": None}], None)
    assert card.agreement is None
    assert card.gold_preference is None
    assert card.passes is None
    assert card.flip_rate.value == 0
    assert "a check by 'bench judge check'" in card.missing
    assert "How often this judge is right is not known" in card.words[0]
    write_card(tmp_path, card)
    assert JudgeCard.read(tmp_path / FILE).to_json() == card.to_json()


def test_a_run_finds_the_card_of_its_judge_whatever_it_judges(planned):
    keep_card(checked(300), planned.store)
    card = card_for(planned, [{"verdicts": verdicts(50, leaning=20)}], None)
    assert card.agreement.value == 80
    assert card.gold_preference.value == 80
    assert (card.flip_rate.on, card.flip_rate.value) == ("run", 40)
    assert card.passes is False
    # That it could be read 300 times elsewhere is no help here.
    unread = card_for(planned, [{"verdicts": verdicts(10, unread=5)}], None)
    assert any("for 50 % [24, 76] of 10 pairs" in sentence for sentence in unread.words)
    other = {**ASKING, "parameters": {"seed": 1}}
    assert card_key(other) != card_key(ASKING)
    assert kept_card(other, planned.store) is None


def test_a_shorter_check_does_not_replace_a_longer_one(tmp_path):
    store = Store(tmp_path)
    for num, hits, expected in ((100, 80, 80), (20, 60, 80), (100, 70, 70), (400, 90, 90)):
        keep_card(checked(num, hits), store)
        assert kept_card(ASKING, store).agreement.value == expected


def test_a_card_of_another_version_is_none(tmp_path):
    store = Store(tmp_path)
    keep_card(checked(10), store)
    (path,) = tmp_path.rglob(FILE)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 7'))
    assert kept_card(ASKING, store) is None
