"""`bench judge check` as a user has it: a judge behind an endpoint gets its card, in every form, and is asked once."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from sftbench.judging.card.own import own_pairs

NUM = 8


def knowing(body):
    """The reply of a judge that knows the own tasks: the better answer wins, an answer and its copy are even."""
    asked = body["messages"][-1]["content"]
    for pair in own_pairs(NUM, seed=0):
        if pair.prompt in asked:
            right, wrong = (pair.model, pair.baseline) if pair.gold else (pair.baseline, pair.model)
            shown = asked.replace(pair.prompt, "").replace("  ", " ")
            places = [shown.find(each) for each in (right, wrong)]
            if min(places) < 0:
                return "[[A=B]]"
            return "[[A>B]]" if places[0] < places[1] else "[[B>A]]"
    return "[[A=B]]"


@pytest.fixture
def judge(serve):
    return serve(knowing)


def test_a_judge_that_knows_gets_a_good_card_and_is_asked_only_once(bench, judge):
    command = ("judge", "check", f"{judge.url}#vicuna-7b", "--probes", NUM, "-o", "json")
    done = bench(*command)
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert (card["agreement"]["value"], card["agreement"]["num"]) == (100, NUM)
    assert card["flip_rate"]["value"] == 0
    assert card["judge"]["part"].startswith("pairwise@")
    assert card["words"][0].startswith(
        "This judge agrees with the right answers to short tasks made for this check in 100"
    )
    values = {finding["measure"]: finding for finding in card["findings"] if not finding["group"]}
    assert values["contradiction on repeat"]["value"] == 0
    assert values["contradiction on repeat"]["num"] == NUM
    assert values["length bias (equal answers)"]["value"] == 0
    assert "cannot be told" in values["self-family preference"]["note"]
    # Both orders of four probes, and of the first once more with another seed.
    assert len(judge.bodies) == 2 * 5 * NUM
    assert card["speed"]["num_calls"] == 2 * 4 * NUM
    again = bench(*command)
    assert json.loads(again.stdout) == card
    assert len(judge.bodies) == 2 * 5 * NUM


def test_a_longer_card_goes_on_from_a_shorter_one(bench, serve):
    judge = serve(lambda body: "[[A>B]]")
    command = ("judge", "check", f"{judge.url}#m", "--no-repeat", "--probes")
    assert bench(*command, 3).returncode == 0
    assert len(judge.bodies) == 2 * 4 * 3
    done = bench(*command, 5, "-o", "json")
    assert len(judge.bodies) == 2 * 4 * 5
    card = json.loads(done.stdout)
    assert card["passes"] is False
    assert card["flip_rate"]["value"] == 100
    assert "never named the same winner in both orders on 5 pairs" in card["words"][0]


def test_every_form_tells_the_same(bench, judge):
    command = ("judge", "check", f"{judge.url}#m", "--probes", 4, "-o")
    card = json.loads(bench(*command, "json").stdout)
    lines = list(csv.DictReader(io.StringIO(bench(*command, "csv").stdout)))
    told = {(line["probe"], line["measure"], line["group"]): line["value"] for line in lines}
    for finding in card["findings"]:
        text = told[finding["probe"], finding["measure"], finding["group"]]
        assert (float(text) if text else None) == pytest.approx(finding["value"], abs=1e-3)
    for form in ("table", "md"):
        text = bench(*command, form).stdout
        assert all(sentence in text for sentence in card["words"])
        assert "agreement (S2)" in text


def test_a_server_that_writes_nonsense_gets_a_card_that_says_so(bench, serve):
    judge = serve(lambda body: "who knows")
    done = bench("judge", "check", f"{judge.url}#m", "--probes", 3, "--no-repeat", "-o", "json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert card["passes"] is False
    assert "No verdict of this judge could be read" in card["words"][0]
    failed = next(each for each in card["findings"] if each["measure"] == "parse failures")
    assert failed["value"] == 100


def test_a_judge_without_a_language_model_is_not_asked_twice(bench):
    done = bench("judge", "check", "checker", "--probes", 3, "-o", "json")
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)["findings"]
    repeat = next(each for each in findings if each["measure"] == "contradiction on repeat")
    assert repeat["note"] == "no language model is asked: the same by construction"


def test_labels_decide_where_they_are_given(bench, judge):
    rows = [
        {"instruction": pair.prompt, "output_1": pair.model, "output_2": pair.baseline, "gold": 2 if pair.gold else 1}
        for pair in own_pairs(NUM, seed=0)
    ]
    path = bench.write("labels.jsonl", rows)
    done = bench("judge", "check", f"{judge.url}#m", "--labels", path, "--probes", "all", "--no-repeat", "-o", "json")
    card = json.loads(done.stdout)
    assert (card["agreement"]["on"], card["agreement"]["value"]) == ("labels", 0)
    assert "worse than chance" in card["words"][0]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--probes", "0"], "--probes is at least 1"),
        (["--probes", "some"], "a number or all, not 'some'"),
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--labels", "none.jsonl"], "cannot read none.jsonl"),
    ],
)
def test_what_cannot_be_meant_is_refused(bench, arguments, part):
    done = bench("judge", "check", "checker", *arguments)
    assert done.returncode == 2
    assert part in done.stderr


def test_an_unknown_judge_is_refused_before_anything_is_asked(bench):
    assert "did you mean 'checker'?" in bench.refused(2, "judge", "check", "cheker", "--probes", 2)


def test_a_card_is_kept_in_the_store(bench, judge):
    assert bench("judge", "check", f"{judge.url}#m", "--probes", 2, "--no-repeat").returncode == 0
    store = Path(bench.environment["SFTBENCH_STORE"])
    assert len(list((store / "card").rglob("judge-card.json"))) == 1
    assert os.listdir(store / "card")
