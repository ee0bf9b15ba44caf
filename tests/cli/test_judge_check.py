"""`bench judge check` as a user has it: a judge behind an endpoint gets its card, in every form, and is asked once."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import sftbench
from sftbench.judging.card.own import own_pairs

NUM = 5


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


def test_a_judge_that_knows_gets_a_good_card_in_every_form_and_is_asked_only_once(bench, serve):
    judge = serve(knowing)
    command = ("judge", "check", f"{judge.url}#vicuna-7b", "--probes", NUM, "-o")
    done = bench(*command, "json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert (card["agreement"]["value"], card["agreement"]["num"]) == (100, NUM)
    assert card["flip_rate"]["value"] == 0
    assert card["judge"]["part"].startswith("pairwise@")
    assert "agrees with the right answers to short tasks made for this check in 100 %" in card["words"][0]
    values = {finding["measure"]: finding for finding in card["findings"] if not finding["group"]}
    repeat = values["contradiction on repeat"]
    assert (repeat["value"], repeat["num"], repeat["note"]) == (0, NUM, "")
    assert values["length bias (equal answers)"]["value"] == 0
    assert "cannot be told" in values["self-family preference"]["note"]
    # Both orders of four probes, and of the first once more with another seed.
    assert len(judge.bodies) == 2 * 5 * NUM
    assert len({body.get("seed") for body in judge.bodies}) == 2
    assert card["speed"]["num_calls"] == 2 * 4 * NUM
    (kept,) = (Path(bench.environment["SFTBENCH_STORE"]) / "card").rglob("judge-card.json")
    assert json.loads(kept.read_text()) == card
    lines = list(csv.DictReader(io.StringIO(bench(*command, "csv").stdout)))
    told = {(line["probe"], line["measure"], line["group"]): line["value"] for line in lines}
    for finding in card["findings"]:
        text = told[finding["probe"], finding["measure"], finding["group"]]
        assert (float(text) if text else None) == pytest.approx(finding["value"], abs=1e-3)
    for form in ("table", "md"):
        text = bench(*command, form).stdout
        assert all(sentence in text for sentence in card["words"])
        assert "agreement (S2)" in text
    assert len(judge.bodies) == 2 * 5 * NUM


def test_a_longer_check_goes_on_from_a_shorter_one(bench, serve):
    judge = serve(lambda body: "[[A>B]]")
    command = ("judge", "check", f"{judge.url}#m", "--no-repeat", "-o", "json", "--probes")
    assert bench(*command, 2).returncode == 0
    assert len(judge.bodies) == 2 * 4 * 2
    card = json.loads(bench(*command, 4).stdout)
    assert len(judge.bodies) == 2 * 4 * 4
    assert card["passes"] is False
    assert card["flip_rate"]["value"] == 100
    assert "never named the same winner in both orders on 4 pairs" in card["words"][0]


def test_a_judge_without_a_language_model_is_not_asked_twice(bench):
    done = bench("judge", "check", "checker", "--probes", 3, "-o", "json")
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)["findings"]
    repeat = next(each for each in findings if each["measure"] == "contradiction on repeat")
    assert repeat["note"] == "no language model is asked: the same by construction"
    table = sftbench.judge_check("checker", probes=3, store=bench.environment["SFTBENCH_STORE"])
    assert table.attrs["card"].to_json() == done.stdout
    assert table["measure"].tolist()[: len(findings)] == [each["measure"] for each in findings]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--probes", "0"], "--probes is at least 1"),
        (["--probes", "some"], "a number or all, not 'some'"),
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--labels", "none.jsonl"], "there is no file none.jsonl"),
    ],
)
def test_what_cannot_be_meant_is_refused(bench, arguments, part):
    done = bench("judge", "check", "checker", *arguments)
    assert done.returncode == 2
    assert part in done.stderr


def test_an_unknown_judge_is_refused_before_anything_is_asked(bench):
    assert "did you mean 'checker'?" in bench.refused(2, "judge", "check", "cheker", "--probes", 2)


def dialogue(model):
    texts = ("Name a sea.", f"{model}: North.", "And a river.", f"{model}: Elbe.")
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def test_votes_on_dialogues_are_asked_about_with_the_whole_dialogue(bench, serve):
    def knowing_best(body):
        asked = body["messages"][-1]["content"]
        if min(asked.find(name) for name in ("best:", "other:")) < 0:
            return "[[A=B]]"
        return "[[A>B]]" if asked.find("best:") < asked.find("other:") else "[[B>A]]"

    judge = serve(knowing_best)
    votes = bench.write("votes.jsonl", [
        {"question_id": 81, "model_a": "best", "model_b": "other", "winner": winner, "judge": voter, "turn": turn,
         "conversation_a": dialogue("best"), "conversation_b": dialogue("other")}
        for turn in (1, 2)
        for voter, winner in (("expert_0", "model_a"), ("expert_1", "model_a"), ("expert_2", "model_b"))
    ])  # fmt: skip
    done = bench("judge", "check", f"{judge.url}#m", "--labels", votes, "--no-repeat", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = {(each["measure"], each["group"]): each for each in json.loads(done.stdout)["findings"]}
    for group, num in (("", 6), ("turn 1", 3), ("turn 2", 3)):
        assert found["agreement (S2)", group]["num"] == num
        assert found["agreement (S2)", group]["value"] == pytest.approx(200 / 3, abs=1e-3)
        assert found["agreement between people (S2)", group]["value"] == pytest.approx(100 / 3, abs=1e-3)
    shown = [body["messages"][-1]["content"] for body in judge.bodies]
    wholes = [each for each in shown if "And a river." in each and "best:" in each and "other:" in each]
    assert wholes
    for each in wholes:
        parts = ("Name a sea.", "And a river.", "best: North.", "best: Elbe.", "other: North.", "other: Elbe.")
        assert all(part in each for part in parts)
    assert any("Name a sea." in each and "And a river." not in each for each in shown)


def test_human_votes_out_of_reach_are_told_with_the_way_out(bench, tmp_path):
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HTTP_PROXY": "", "http_proxy": ""}
    message = bench.refused(4, "judge", "check", "checker", "--gold", "mt-bench-human", **nobody)
    assert "nothing answers at http://127.0.0.1:9" in message
    assert "lmsys/mt_bench_human_judgments" in message
    assert "--labels FILE" in message
