"""`bench judge pairs` as a user has it: two files of answers, a judge, and a file of verdicts that scores come from."""

from __future__ import annotations

import json
import re
import time

import pytest

import sftbench

pytestmark = pytest.mark.slow


@pytest.fixture
def files(bench):
    """Answers of two models; the first is better in the first six of ten, and the second has no answer to the last."""
    mine = [{"id": at, "instruction": f"q{at}", "output": f"{'good' if at < 6 else 'bad'} {at}"} for at in range(10)]
    theirs = [{"id": at, "instruction": f"q{at}", "output": f"{'bad' if at < 6 else 'good'} {at}"} for at in range(9)]
    return bench.write("ours.jsonl", mine), bench.write("base.jsonl", theirs[::-1])


def better(body):
    shown = re.findall(r"<answer-[AB]-\w+>\n(\w+)", body["messages"][-1]["content"])
    return json.dumps({"verdict": "A>>B" if shown[0] == "good" else "B>A"})


def test_two_files_are_judged_once_and_scored(bench, files, serve):
    server = serve(better)
    command = ("judge", "pairs", *files, "--judge", f"{server.url}#m", "--out", "v.jsonl", "-o", "json")
    for _ in range(2):
        done = bench(*command)
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)
        assert (row["model"], row["baseline"], row["wins"], row["losses"], row["ties"]) == ("ours", "base", 6, 3, 0)
        assert row["win_rate"] == pytest.approx(100 * 6 / 9)
        assert row["ci_lo"] <= row["win_rate"] <= row["ci_hi"]
        assert (row["num_missing_model"], row["num_missing_baseline"], row["status"]) == (0, 1, "partial")
        assert (row["consistency"], row["position_bias"], row["num_calls"], row["num_unread_games"]) == (1, 0, 18, 0)
    assert len(server.bodies) == 18
    scored = bench("judge", "score", "v.jsonl", "--metric", "win-rate", "-o", "json")
    assert json.loads(scored.stdout)[0]["score"] == row["win_rate"]
    for metric in ("alpaca-lc", "arena-style"):
        assert bench("judge", "score", "v.jsonl", "--metric", metric, "-o", "json").returncode == 0
    table = bench(*command[:-2]).stdout
    assert "66.67" in table
    assert "position_bias" in table


def test_a_judge_that_dies_is_told_and_taken_up_again(bench, files, serve):
    """What was judged before the server broke is not paid for twice."""
    answered = []

    def reply(body):
        if len(answered) < 7:
            answered.append(body)
            return better(body)
        return 401, "no longer"

    server = serve(reply)
    command = ("judge", "pairs", *files, "--judge", f"{server.url}#m", "--out", "v.jsonl", "-o", "json")
    message = bench.refused(4, *command)
    assert "wants a key" in message
    assert not (bench.folder / "v.jsonl").exists()
    server.reply = better
    before = len(server.bodies)
    (row,) = json.loads(bench(*command).stdout)
    assert row["num_prompts"] == 9
    assert len(server.bodies) - before == 18 - 7


def test_a_pair_that_the_server_refuses_is_left_out_and_asked_about_again_the_next_time(bench, files, serve):
    poison = [True]

    def reply(body):
        return (400, "not this one") if poison and "good 3" in body["messages"][-1]["content"] else better(body)

    server = serve(reply)
    command = ("judge", "pairs", *files, "--judge", f"{server.url}#m", "--out", "v.jsonl", "-o", "json")
    done = bench(*command)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["wins"], row["losses"], row["status"]) == (5, 3, "partial")
    assert "1 pairs have a game that the judge's server refused or failed over\n" in done.stderr
    assert "bench: 1 pairs have no whole verdict" in done.stderr
    assert "the same command asks these again" in done.stderr
    assert "--redo" not in done.stderr
    lines = {line["id"]: line for line in map(json.loads, (bench.folder / "v.jsonl").read_text().splitlines())}
    assert (lines["3"]["preference"], lines["3"]["flags"]) == (None, ["model_error"])
    poison.clear()
    before = len(server.bodies)
    for _ in range(2):
        done = bench(*command)
        (row,) = json.loads(done.stdout)
        assert (row["wins"], row["losses"]) == (6, 3)
        assert "no whole verdict" not in done.stderr
        assert len(server.bodies) == before + 2


def test_a_judge_that_is_not_there_is_told_once_and_by_its_role(bench, files, serve):
    server = serve(better)
    server.stop()
    done = bench("judge", "pairs", *files, "--judge", f"{server.url}#m")
    assert done.returncode == 4
    assert done.stderr.count("nothing answers at") == 1
    assert "start the server, or name another judge; " in done.stderr


def test_how_much_is_asked_at_once_is_the_users_and_makes_no_other_judgement(bench, files, serve):
    server = serve(lambda body: time.sleep(0.05) or better(body))
    command = ("judge", "pairs", *files, "--judge", f"{server.url}#m", "-o", "json", "--concurrency")
    assert bench(*command, 2).returncode == 0
    assert (len(server.bodies), server.most_at_once) == (18, 2)
    assert bench(*command, 5).returncode == 0
    assert len(server.bodies) == 18
    for wrong, part in ((0, "greater than or equal to 1"), (10_000, "less than or equal to 512")):
        assert part in bench.refused(2, *command, wrong)


def test_from_python_it_is_a_data_frame_and_needs_no_language_model(bench, files, monkeypatch):
    monkeypatch.setenv("SFTBENCH_STORE", str(bench.folder / "store"))
    prompts = bench.write("p.jsonl", [{"id": at, "instruction": f"q{at}", "reference": "good"} for at in range(10)])
    found = sftbench.judge_pairs(*files, judge="checker", prompts=prompts)
    assert found["preference"].tolist()[:9] == [1] * 6 + [0] * 3
    assert found.attrs["summary"]["win_rate"] == pytest.approx(100 * 6 / 9)
    near = sftbench.judge_pairs(*files, judge="reference", prompts=prompts)
    assert near["preference"].tolist()[:9] == [1] * 6 + [0] * 3


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--judge", "pairwse"], "did you mean 'pairwise'?"),
        (["--judge", "pairwise"], "pairwise asks a language model and none is named"),
        (["--judge", "pairwise[modl=x]"], "did you mean 'model'?"),
        (["--judge", "http://127.0.0.1:1/v1"], "expected URL#MODEL"),
        (["--judge", "checker", "--prompts", "p.jsonl"], "there is no file p.jsonl"),
        (["--judge", "pairwise[template=t.json]", "--chat", "http://127.0.0.1:1/v1#m"], "there is no file t.json"),
    ],
)
def test_what_cannot_be_meant_is_refused(bench, files, arguments, part):
    code = 4 if "t.json" in part else 2
    assert part in bench.refused(code, "judge", "pairs", *files, *arguments)
