"""Votes of people as MT-Bench publishes them: how they are read, and agreement with them against a plain count."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
import socket
import time

import numpy as np
import pytest

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.judging.card import gold, humans, padding
from sftbench.judging.card.ask import asked, chosen_pairs, findings_of
from sftbench.judging.card.card import card_of
from sftbench.judging.card.human_votes import given_labels
from sftbench.judging.card.intervals import clustered_share, share
from sftbench.judging.card.material import Material, Sampler
from sftbench.rooms import Verdicts

MODELS = ("vicuna-13b-v1.2", "gpt-4", "alpaca-13b")


def conversation(question, model):
    turns = (f"Q{question} first", f"A1 of {model} to {question}", f"Q{question} then", f"A2 of {model} to {question}")
    return [
        {"content": text, "role": role}
        for text, role in zip(turns, itertools.cycle(("user", "assistant")), strict=False)
    ]


def row(question, model_a, model_b, winner, judge="expert_0", turn=1):
    """A row with the names and types of lmsys/mt_bench_human_judgments."""
    return {
        "question_id": question, "model_a": model_a, "model_b": model_b, "winner": winner, "judge": judge,
        "conversation_a": conversation(question, model_a), "conversation_b": conversation(question, model_b),
        "turn": turn,
    }  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    """Votes on 12 questions, three models and two turns, by up to four people, in any order of the models."""
    lot = random.Random(3)
    found = []
    for question, (one, other), turn in itertools.product(range(81, 93), itertools.combinations(MODELS, 2), (1, 2)):
        for voter in lot.sample(range(6), lot.randint(1, 4)):
            pair = (one, other) if lot.random() < 0.5 else (other, one)
            winner = lot.choices(("model_a", "model_b", "tie"), (3, 3, 2))[0]
            found.append(row(question, *pair, winner, f"expert_{voter}", turn))
    found.append(row(81, "alpaca-13b", "gpt-4", "model_a", "author_2"))
    found.append(row(81, "alpaca-13b", "gpt-4", "model_a", "gpt4_pair"))
    return found


def written(path, rows):
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)))
    return path


def voted(tmp_path, rows):
    return given_labels(written(tmp_path / "votes.jsonl", rows), None)[1]


@pytest.mark.parametrize("name", ["votes.jsonl", "votes.json", "votes.parquet"])
def test_votes_on_one_pair_come_together_whichever_model_was_first(tmp_path, name):
    rows = [
        row(81, "gpt-4", "alpaca-13b", "model_a", "expert_0"),
        row(81, "alpaca-13b", "gpt-4", "model_b", "expert_1"),
        row(81, "alpaca-13b", "gpt-4", "tie (inconsistent)", "expert_2"),
        row(81, "alpaca-13b", "gpt-4", "model_a", "author_0"),
        row(81, "gpt-4", "alpaca-13b", "model_b", "expert_0", turn=2),
    ]
    labelled, (first, second) = given_labels(written(tmp_path / name, rows), None)
    assert labelled == []
    assert (first.id, second.id) == ("81|alpaca-13b|gpt-4|1", "81|alpaca-13b|gpt-4|2")
    assert [(vote.voter, vote.preference) for vote in first.votes] == [
        ("expert_0", 0), ("expert_1", 0), ("expert_2", 0.5),
    ]  # fmt: skip
    assert (first.gold, second.gold) == (pytest.approx(1 / 6), 1)
    assert (first.prompt, first.model, first.earlier) == ("Q81 first", "A1 of alpaca-13b to 81", ())
    assert (second.prompt, second.model) == ("Q81 then", "A2 of alpaca-13b to 81")
    (before,) = second.earlier
    assert (before.asked, before.baseline) == ("Q81 first", "A1 of gpt-4 to 81")
    assert (second.group, second.cluster, second.by_baseline) == ("turn 2", "81", "gpt-4")


def test_votes_on_other_texts_are_of_another_pair(tmp_path):
    other = row(81, "alpaca-13b", "gpt-4", "model_a", "expert_1")
    other["conversation_a"][1]["content"] = "written anew"
    found = voted(tmp_path, [row(81, "alpaca-13b", "gpt-4", "model_b"), other])
    assert [(pair.id, pair.gold) for pair in found] == [("81|alpaca-13b|gpt-4|1", 0), ("81|alpaca-13b|gpt-4|1#2", 1)]


def deciding(lot):
    """A judge that decides by lot, with ties; which verdict it gave is in `said`, by question, models and turn."""
    said = {}

    def judge(rows, model, baseline):
        told = []
        for each, mine, theirs in zip(rows, model.texts, baseline.texts, strict=True):
            question = int(each.messages[0].content.split()[0][1:])
            names = mine.split(" of ")[1].split(" to ")[0], theirs.split(" of ")[1].split(" to ")[0]
            told.append(lot.choice(("A>B", "B>A", "A=B")))
            said[question, *names, each.num_open_turns] = {"A>B": "model_a", "B>A": "model_b", "A=B": "tie"}[told[-1]]
        preference = [{"A>B": 1.0, "B>A": 0.0, "A=B": 0.5}[each] for each in told]
        turned = {"A>B": "B>A", "B>A": "A>B", "A=B": "A=B"}
        columns = {"model_first": told, "baseline_first": [turned[each] for each in told]}
        return Verdicts(ids=model.ids, preference=np.array(preference), columns=columns)

    judge.said = said
    return judge


def counted(rows, said, turn, ties):
    """Agreement of a judge with people and of people with one another, counted from the rows of the file."""
    by_pair = {}
    for each in rows:
        if each["judge"].startswith("expert") and each["turn"] == turn:
            models = tuple(sorted((each["model_a"], each["model_b"])))
            named = each.get(each["winner"], "tie")
            by_pair.setdefault((each["question_id"], *models, turn), []).append((each["judge"], named))
    with_judge, with_others = [], []
    for key, votes in by_pair.items():
        verdict = dict(zip(("model_a", "model_b", "tie"), (*key[1:3], "tie"), strict=True))[said[key]]
        with_judge += [(verdict, named) for _, named in votes]
        with_others += [
            (votes[i][1], votes[j][1]) for i in range(len(votes)) for j in range(i) if votes[i][0] != votes[j][0]
        ]
    kept = [[pair for pair in pairs if ties or "tie" not in pair] for pairs in (with_judge, with_others)]
    return [(100 * sum(one == other for one, other in pairs) / len(pairs), len(pairs)) for pairs in kept]


@pytest.mark.parametrize("seed", range(3))
def test_agreement_is_that_of_a_plain_count(tmp_path, rows, seed):
    judge = deciding(random.Random(seed))
    pairs = chosen_pairs(Material(human=voted(tmp_path, rows)), Sampler(most=None, seed=0))
    findings = humans.PROBE.found(asked(judge, {gold.HUMAN: pairs[gold.HUMAN]}).judged)
    told = {(each.measure, each.group): (each.value, each.num) for each in findings}
    for turn, (ties, of_judge, among) in itertools.product(
        (1, 2), ((True, gold.S1, humans.AMONG_S1), (False, gold.S2, humans.AMONG_S2))
    ):
        expected = counted(rows, judge.said, turn, ties)
        assert told[of_judge, f"turn {turn}"] == pytest.approx(expected[0])
        assert told[among, f"turn {turn}"] == pytest.approx(expected[1])
    both = [counted(rows, judge.said, turn, False)[0] for turn in (1, 2)]
    hits = sum(value * num for value, num in both)
    assert told[gold.S2, ""] == pytest.approx((hits / sum(num for _, num in both), sum(num for _, num in both)))


def test_a_majority_counts_each_pair_once(tmp_path):
    votes = ["model_a"] * 3 + ["model_b"]
    found = voted(tmp_path, [row(81, "a", "b", winner, f"expert_{at}") for at, winner in enumerate(votes)])
    judge = deciding(random.Random(0))
    told = {each.measure: each for each in humans.PROBE.found(asked(judge, {gold.HUMAN: found}).judged)}
    agrees = judge.said[81, "a", "b", 1] == "model_a"
    assert told[humans.MAJORITY].num == 1
    assert told[humans.MAJORITY].value == 100 * agrees
    assert (told[humans.AMONG_S2].num, told[humans.AMONG_S2].value) == (6, 50)
    assert told[humans.AMONG_S1].chance == pytest.approx(100 * (0.75**2 + 0.25**2), abs=15)


def test_two_votes_of_one_person_are_not_two_people(tmp_path):
    found = voted(tmp_path, [row(81, "a", "b", "model_a"), row(81, "a", "b", "model_b")])
    told = {
        each.measure: each for each in humans.PROBE.found(asked(deciding(random.Random(0)), {gold.HUMAN: found}).judged)
    }
    assert told[humans.AMONG_S2].num == 0
    assert told[humans.AMONG_S2].value is None


def test_the_card_qualifies_by_human_votes_and_sets_people_beside(tmp_path, rows):
    """A judge that names what most people named; the demand of 78 % is held against its agreement with single votes."""
    pairs = voted(tmp_path, rows)
    best = {(pair.prompt, pair.model, pair.baseline): pair.gold for pair in pairs}

    def judge(rows, model, baseline):
        said = [
            best.get((each.messages[-2].content, mine, theirs), 0.5)
            for each, mine, theirs in zip(rows, model.texts, baseline.texts, strict=True)
        ]
        signs = np.sign(np.array(said) - 0.5)
        return Verdicts(ids=model.ids, preference=(1 + signs) / 2, columns={})

    chosen = chosen_pairs(Material(human=pairs, gold=pairs[:2]), Sampler(most=None, seed=0))
    assert gold.OWN not in chosen
    assert [pair.id for pair in chosen[padding.WORSE]] == [pair.id for pair in pairs if pair.gold != 0.5]
    told = asked(judge, chosen)
    card = card_of(findings_of(told, model="gpt-4"), judge={"part": "j@1"}, sample="all", seed=0)
    assert card.agreement.on == gold.HUMAN
    gate = next(each for each in card.gates if each.name == "agreement")
    assert (gate.limit, gate.finding.value) == (78, card.agreement.value)
    found = {each.measure: each for each in card.findings if each.probe == gold.HUMAN and not each.group}
    assert found[humans.MAJORITY].value == 100
    assert found["agreement between people (S2)"].value < found[gold.S2].value < 100
    assert card.words[0].startswith(f"This judge agrees with the human votes in {card.agreement.value:.0f} % [")
    assert "asked of a judge" in card.words[0]
    assert any(each.startswith("Two people who voted on the same pair agreed in ") for each in card.words)
    # The labels name the writers, so whether it prefers its own family can be told.
    family = next(each for each in card.findings if each.measure == "self-family preference")
    assert (family.probe, family.group, family.value is not None) == (gold.HUMAN, "gpt", True)


def test_equal_answers_are_equal_in_every_turn(tmp_path, rows):
    chosen = chosen_pairs(Material(human=voted(tmp_path, rows)), Sampler(most=None, seed=0))
    for pair in (*chosen["equal"], *chosen[padding.EQUAL]):
        assert all(turn.model == turn.baseline for turn in pair.earlier)
        assert (pair.gold, pair.votes) == (None, ())
    assert any(pair.earlier for pair in chosen["equal"])


def test_bounds_hold_where_votes_on_a_question_agree():
    """40 questions, each with its own rate of agreement: 95 % bounds hold the mean, and Wilson's for as many
    independent votes do not."""
    draw, held, naive = np.random.default_rng(0), [], []
    for _ in range(400):
        rates = draw.beta(1.5, 0.5, size=40)
        votes = draw.integers(1, 30, size=40)
        hits = np.concatenate([draw.random(num) < rate for num, rate in zip(votes, rates, strict=True)])
        names = [str(at) for at, num in enumerate(votes) for _ in range(num)]
        found, simple = clustered_share(hits.astype(float), names), share(hits.sum(), len(hits))
        held.append(found.low <= 0.75 <= found.high)
        naive.append(simple.low <= 0.75 <= simple.high)
    assert np.mean(held) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(held))
    assert np.mean(naive) < 0.8


def test_one_vote_a_question_is_nearly_wilson_and_none_is_nothing():
    hits = (np.arange(200) % 4 > 0).astype(float)
    alone, simple = clustered_share(hits, [str(at) for at in range(200)]), share(150, 200)
    assert (alone.value, alone.low, alone.high) == pytest.approx((simple.value, simple.low, simple.high), abs=1e-3)
    always = clustered_share(np.ones(90), [str(at % 9) for at in range(90)])
    assert always.low == pytest.approx(share(9, 9).low)
    assert math.isnan(clustered_share(np.empty(0), []).value)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"winner": "model_c"}, "line 1: winner 'model_c'; expected model_a, model_b, tie"),
        ({"turn": 3}, "line 1: turn 3; expected 1 or 2"),
        ({"turn": 2, "conversation_b": conversation(81, "b")[:2]}, "of at least 2 answers"),
        ({"conversation_a": "text"}, "line 1: a conversation of turns"),
        ({"conversation_b": conversation(82, "b")}, "line 1: the two models were not asked the same"),
        ({"judge": "gpt4_pair"}, "holds no votes of people"),
        ({"judge": ["gpt-4", "pair-v2"]}, "holds no votes of people"),
        ({"question_id": None}, "line 1: no 'question_id'"),
    ],
)
def test_votes_that_cannot_be_used_are_refused_with_the_line(tmp_path, change, part):
    with pytest.raises(UsageError) as problem:
        voted(tmp_path, [{**row(81, "a", "b", "model_a"), **change}])
    assert part in str(problem.value)


def test_votes_are_named_once(tmp_path):
    path = written(tmp_path / "votes.jsonl", [row(81, "a", "b", "model_a")])
    with pytest.raises(UsageError, match="not both"):
        given_labels(path, "mt-bench-human")
    with pytest.raises(UsageError, match="--gold is mt-bench-human, not 'llmbar'"):
        given_labels(None, "llmbar")


@pytest.fixture
def away(monkeypatch, tmp_path):
    """A hub that nobody answers for, and a cache that is empty."""
    import datasets
    import huggingface_hub

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("sftbench.pools.hub.getproxies", dict)
    return tmp_path / "cache"


def test_without_a_hub_it_says_so_within_seconds_and_names_the_way_out(away):
    started = time.monotonic()
    with pytest.raises(EnvironmentProblem) as problem:
        given_labels(None, "mt-bench-human")
    assert time.monotonic() - started < 10
    for part in (
        "--gold mt-bench-human", "lmsys/mt_bench_human_judgments", "hf download", "takes such a file as --labels FILE",
    ):  # fmt: skip
        assert part in str(problem.value)


def test_without_a_hub_a_copy_in_the_cache_is_read(away, rows, tmp_path):
    import datasets

    path = written(tmp_path / "human.parquet", rows)
    made = datasets.load_dataset(
        "parquet", data_files={"human": str(path)}, split="human", cache_dir=str(tmp_path / "x")
    )
    place = away / "lmsys___mt_bench_human_judgments" / "default" / "0.0.0" / "abc"
    place.mkdir(parents=True)
    (file,) = made.cache_files
    shutil.copy(file["filename"], place / "mt_bench_human_judgments-human.arrow")
    made.info.dataset_name = "mt_bench_human_judgments"
    made.info.write_to_directory(str(place))
    _, found = given_labels(None, "mt-bench-human")
    assert found == given_labels(path, None)[1]
