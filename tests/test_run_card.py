"""The card of a run's judge: free from its own verdicts, the rest from what `bench judge check` has found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from sftbench.judgement import Judgement as Judgement
from sftbench.judging.card import failures, gold, orders, padding
from sftbench.judging.card.card import FILE, FURTHER, JudgeCard, card_of
from sftbench.judging.card.finding import percent
from sftbench.judging.card.intervals import share
from sftbench.judging.card.keeping import card_key, keep_card, kept_card
from sftbench.record import Record
from sftbench.rooms import Verdicts
from sftbench.run_card import cards_for, planned_checks, run_findings, write_cards
from sftbench.store import Store

ASKING = {"part": "pairwise@1", "parameters": {"seed": 0}, "asks:judge": "http://127.0.0.1:9/v1#m"}


def verdicts(num, *, leaning=0, unread=0, longer=0, judge="pairwise"):
    """`leaning` verdicts name the first answer in both orders, `unread` ones cannot be read, the others are for the
    model, whose answer is the longer one in `longer` of all."""
    labels = [("A>B", "A>B")] * leaning + [(None, None)] * unread + [("A>B", "B>A")] * (num - leaning - unread)
    preference = [0.5] * leaning + [None] * unread + [1.0] * (num - leaning - unread)
    return {
        "baseline": "random",
        "judge": judge,
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
    """As much of a run as its cards need: `identity` is that of the verdicts of its judge, `others` of further ones."""

    store: Store
    identity: dict
    others: dict = field(default_factory=dict)
    settings: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            judge=["j"], chat=None, vllm=None, task_data=None, redo="missing", concurrency=None
        )
    )
    plugins: None = None

    @property
    def terms(self):
        return SimpleNamespace(judges=dict.fromkeys(["pairwise", *self.others]))

    @property
    def plan(self):
        identities = {"pairwise": self.identity, **self.others}
        cell = SimpleNamespace(verdicts={name: f"verdicts/{name}" for name in identities})
        steps = {f"verdicts/{name}": SimpleNamespace(identity=each) for name, each in identities.items()}
        return SimpleNamespace(cells=[SimpleNamespace(verdicts={}), cell], steps=steps)


def card_for(planned, cells, watcher):
    """The card of the first judge."""
    return cards_for(planned, cells, watcher).cards.get("pairwise")


def write_card(folder, card):
    write_cards(folder, {} if card is None else {"pairwise": card}, first="pairwise")


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


OTHER = {**ASKING, "asks:judge": "http://127.0.0.1:9/v1#other"}


def test_every_judge_that_asks_a_language_model_has_a_card_of_its_own(planned, tmp_path):
    planned.others = {"by-words": {"part": "checker@1"}, "other": OTHER}
    keep_card(checked(300, hits=90, judge=OTHER), planned.store)
    cell = {
        "verdicts": verdicts(50),
        "further_verdicts": [verdicts(50, judge="by-words"), verdicts(50, leaning=10, judge="other")],
    }
    found = cards_for(planned, [cell, {"verdicts": None}], None)
    assert list(found.cards) == ["pairwise", "other"]
    assert [card.flip_rate.value for card in found.cards.values()] == [0, 20]
    assert [card.agreement and card.agreement.value for card in found.cards.values()] == [None, 90]
    assert found.told == ("judge other: its card rests on a check that the store has; nothing was asked for it",)
    write_cards(tmp_path, found.cards, first="pairwise")
    assert JudgeCard.read(tmp_path / FILE).judge["asks:judge"].endswith("#m")
    (told,) = json.loads((tmp_path / FURTHER).read_text())["cards"].values()
    assert JudgeCard.from_json(json.dumps(told), where="here").to_json() == found.cards["other"].to_json()
    write_cards(tmp_path, {}, first="pairwise")
    assert not list(tmp_path.glob("judge-card*"))


def with_gold(folder, num):
    """A folder of LLMBar's pairs, half of them natural."""
    lines = [
        {"id": str(at), "instruction": f"q{at}", "output_1": f"yes {at}", "output_2": f"no {at}", "gold": 1,
         "category": "Natural" if at % 2 else "Adversarial_Neighbor"}
        for at in range(num)
    ]  # fmt: skip
    (folder / "llmbar.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_plan_tells_how_many_requests_the_cards_take_and_the_check_takes_no_more(planned, tmp_path, monkeypatch):
    planned.settings.task_data = with_gold(tmp_path, 20)
    planned.settings.judge = ["j", "k"]
    planned.settings.concurrency = 3
    planned.others = {"other": OTHER}
    keep_card(checked(300, judge=OTHER), planned.store)
    (line,) = planned_checks(planned)
    assert "judge pairwise is asked for its card" in line
    asked = []

    def judge_answers(judge, rows, model, baseline, **more):
        asked.append((judge, len(rows), more["concurrency"]))
        told = verdicts(len(rows))
        found = Verdicts(
            ids=tuple(row.id for row in rows), preference=np.array(told["preference"], dtype=float),
            columns=told["columns"],
        )  # fmt: skip
        calls = {"asks:judge": {"num_requests": 2 * len(rows)}}
        record = Record(key="k", room="verdicts", identity=ASKING, payload=calls)
        return Judgement(verdicts=found, record=record)

    monkeypatch.setattr("sftbench.checking.judge_answers", judge_answers)
    cell = {"verdicts": verdicts(50), "further_verdicts": [verdicts(50, judge="other")]}
    found = cards_for(planned, [cell], object())
    ((judge, num_pairs, concurrency),) = asked
    assert (judge, concurrency) == ("j", 3)
    assert f"about {num_pairs} pairs: up to {2 * num_pairs} requests" in line
    assert f"took {2 * num_pairs} requests on {num_pairs} pairs" in found.told[0]
    assert planned_checks(planned) == []


def test_a_check_that_cannot_be_made_costs_no_run_and_is_told_before_and_after(planned, tmp_path):
    (tmp_path / "llmbar.jsonl").write_text("{")
    planned.settings.task_data = tmp_path
    assert "will fail: " in planned_checks(planned)[0]
    found = cards_for(planned, [{"verdicts": verdicts(5)}], object())
    assert found.cards["pairwise"].missing == ("a short check, which failed (UsageError)",)
    assert "llmbar.jsonl, line 1" in found.told[0]


@pytest.mark.parametrize("change", [{"redo": "never"}, {"task_data": None}])
def test_without_data_or_where_nothing_is_to_be_done_no_check_is_planned(planned, tmp_path, change):
    vars(planned.settings).update({"task_data": with_gold(tmp_path, 4), **change})
    assert planned_checks(planned) == []
