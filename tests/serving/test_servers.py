"""Servers that start slowly, die, hang, find their port taken, or are left by a run that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from sftbench.chat import ChatRequest
from sftbench.engines.chat import ChatClient
from sftbench.errors import EnvironmentProblem
from sftbench.ledger import Meter
from sftbench.rooms import Message
from sftbench.serving.concierge import receiving
from sftbench.serving.server import telling_lines
from sftbench.serving.service import ADDRESS, ServedService, service_of, serving

from .conftest import DESCRIBED, IDENTITY, STAND_IN, gone_within, runs


def client(trial, tmp_path, *, service=None, timeout_seconds=60.0):
    kept = service or ServedService(
        described=DESCRIBED, model="tiny", identity=IDENTITY, keeper=trial.servers, tell=trial.told.append
    )
    return ChatClient(
        endpoint=kept, cache=tmp_path / "cache", unparsed=tmp_path / "unparsed", meter=Meter(),
        log=trial.told.append, timeout_seconds=timeout_seconds, waits=(0.01,) * 5, num_at_once=4,
    )  # fmt: skip


def requests(count):
    return [ChatRequest(messages=(Message(role="user", content=str(index)),)) for index in range(count)]


def values(answers):
    return [each.value for each in answers]


def expected(count):
    return [f"answer to {index}" for index in range(count)]


def test_one_server_is_started_for_all_who_ask_and_is_gone_after_its_end(trial):
    served = trial("slow")
    with ThreadPoolExecutor(8) as threads:
        endpoints = set(threads.map(lambda _: served.reach(), range(8)))
    assert len(endpoints) == 1
    assert served.num_starts == 1
    assert any("its log is" in each for each in served.told)
    assert any("is served after" in each for each in served.told)
    served.servers.stop(DESCRIBED)
    assert not any(map(runs, served.pids))


def test_a_stopped_server_is_started_again_when_it_is_asked_for_again(trial):
    served = trial("fine")
    served.reach()
    served.servers.stop_all()
    served.reach()
    assert served.num_starts == 2


def test_one_that_is_to_be_alone_ends_all_others_first(trial):
    served = trial("fine")
    served.reach()
    first = served.pids
    other = "vllm:/models/other"
    served.servers.reach(other, "other", served.told.append, alone=True)
    assert not any(map(runs, first))
    # It is not in its own way.
    served.servers.reach(other, "other", served.told.append, alone=True)
    assert served.num_starts == 2


def test_a_closed_house_starts_nothing(trial):
    served = trial("fine")
    served.servers.close()
    with pytest.raises(EnvironmentProblem, match="ending"):
        served.reach()


def test_a_server_that_dies_at_its_start_fails_at_once_with_the_cause_and_is_not_tried_again(trial):
    served = trial("dies-at-start")
    for _ in range(2):
        with pytest.raises(EnvironmentProblem, match=r"exit code 3.*ValueError: no such layer.*see .*\.log"):
            served.reach()
    assert served.num_starts == 1


def test_where_the_first_of_several_models_is_not_served_the_others_fail_at_once_with_the_reason(trial):
    served = trial("dies-at-start")
    models = ["vllm:/a[dtype=float32]", "vllm:/b[dtype=float32]", "vllm:/c[dtype=bfloat16]"]
    for each, num_starts in zip(models, (1, 1, 2), strict=True):
        with pytest.raises(EnvironmentProblem, match="no such layer"):
            served.servers.reach(each, "m", served.told.append, alone=True)
        assert served.num_starts == num_starts


def test_a_model_that_is_not_served_keeps_no_other_from_it_once_one_was(trial):
    served = trial("serves-one-of-two")
    for number in range(4):
        try:
            served.servers.reach(f"vllm:/{number}", "m", served.told.append, alone=True)
        except EnvironmentProblem:
            assert number % 2
        else:
            assert not number % 2
    assert served.num_starts == 4


def test_another_port_is_tried_when_the_first_is_taken_meanwhile(trial):
    served = trial("port-taken")
    assert served.reach().url.startswith("http://127.0.0.1:")
    assert served.num_starts == 2
    assert any("took port" in each for each in served.told)


def test_a_server_that_is_never_ready_is_given_up_and_ended(trial):
    served = trial("never-ready", start_seconds=0.8)
    with pytest.raises(EnvironmentProblem, match=r"within 0.8 s; its last line: still thinking"):
        served.reach()
    assert gone_within(served.pids, 5)


def test_a_start_is_broken_off_when_the_run_ends(trial):
    served = trial("never-ready")
    failed = []

    def ask():
        try:
            served.reach()
        except EnvironmentProblem as problem:
            failed.append(str(problem))

    waiting = threading.Thread(target=ask)
    waiting.start()
    while not served.pids:
        pass
    served.servers.close()
    waiting.join(10)
    assert failed
    assert gone_within(served.pids, 5)


def test_after_a_crash_the_requests_that_wait_are_answered_and_none_is_paid_twice(trial, tmp_path):
    served = trial("dies-once")
    assert values(client(served, tmp_path).ask(requests(12), str)) == expected(12)
    assert served.num_starts == 2
    assert any("out of memory" in each and "starting it again (1 of 3)" in each for each in served.told)
    # Only what was under way when it died is asked again: at most one request of each of the four threads.
    assert len(served.asked) - len(set(served.asked)) <= 4


def test_a_server_that_always_dies_is_given_up_and_what_was_answered_is_kept(trial, tmp_path):
    served = trial("dies-always")
    with pytest.raises(EnvironmentProblem, match="started again 3 times"):
        client(served, tmp_path).ask(requests(1), str)
    assert served.num_starts == 4


@pytest.mark.parametrize("fatal", [(7,), (0, 8, 19)])
def test_a_prompt_that_its_server_dies_over_is_counted_and_all_others_are_answered(trial, tmp_path, fatal):
    served = trial("dies-over-" + "-".join(map(str, fatal)))
    asking = client(served, tmp_path)
    answers = asking.ask(requests(20), str, lenient=True)
    wanted = ["model_error" if at in fatal else None for at in range(20)]
    assert [each.reason for each in answers] == wanted
    assert values(answers) == [None if at in fatal else f"answer to {at}" for at in range(20)]
    assert asking.counts()["num_refused"] == len(fatal)
    # The last of them, too, was asked with others, with others, and alone.
    assert served.num_starts <= 1 + 3 * len(fatal)
    assert all(served.asked.count(str(at)) <= 3 for at in fatal)


@pytest.mark.parametrize(("behaviour", "most_starts"), [("hangs-over-3", 1), ("freezes-over-3", 3)])
def test_a_prompt_that_its_server_hangs_over_is_counted_soon(trial, tmp_path, behaviour, most_starts):
    served = trial(behaviour)
    begun = time.monotonic()
    answers = client(served, tmp_path, timeout_seconds=1.0).ask(requests(8), str, lenient=True)
    assert [each.reason for each in answers] == [None, None, None, "model_error", None, None, None, None]
    assert time.monotonic() - begun < 20
    # Where it still answers others, nothing is gained by starting it again.
    assert served.num_starts <= most_starts


def test_one_that_dies_over_everything_is_given_up_also_where_it_is_asked_leniently(trial, tmp_path):
    served = trial("dies-always")
    with pytest.raises(EnvironmentProblem, match="started again 3 times"):
        client(served, tmp_path).ask(requests(6), str, lenient=True)
    assert served.num_starts == 4


def test_time_alone_forgives_no_loss_and_many_answers_do(trial, monkeypatch):
    served = trial("fine")
    lost = served.reach().url
    monkeypatch.setattr("sftbench.serving.server.time", SimpleNamespace(monotonic=lambda: time.monotonic() + 1e6,
                                                                        sleep=time.sleep))  # fmt: skip
    for _ in range(3):
        lost = served.reach(lost=lost, silent=True).url
    lost = served.reach(lost=lost, silent=True, forgiven=True).url
    for _ in range(3):
        lost = served.reach(lost=lost, silent=True).url
    with pytest.raises(EnvironmentProblem, match="started again 3 times"):
        served.reach(lost=lost, silent=True)


def test_a_server_that_takes_a_request_and_is_silent_is_started_again(trial, tmp_path):
    served = trial("hangs-once")
    assert values(client(served, tmp_path, timeout_seconds=0.5).ask(requests(3), str)) == expected(3)
    assert served.num_starts == 2


def test_what_the_cache_knows_starts_no_server_and_is_found_whatever_the_port(trial, tmp_path):
    first, second = trial("fine"), trial("fine")
    asking = client(first, tmp_path)
    asking.ask(requests(3), str)
    assert asking.counts()["served_by"] == "stand-in 1"
    assert values(client(second, tmp_path).ask(requests(3), str)) == expected(3)
    assert second.num_starts == 0


def test_a_process_of_a_step_reaches_the_server_through_the_concierge(trial, tmp_path, monkeypatch):
    served = trial("dies-once")
    with receiving(served.servers) as address:
        monkeypatch.setenv(ADDRESS, address)
        told = []
        asking = client(served, tmp_path, service=service_of(DESCRIBED, IDENTITY, told.append))
        assert values(asking.ask(requests(9), str)) == expected(9)
        assert any("starting it again" in each for each in told)
    assert not any(map(runs, served.pids))


def test_a_problem_comes_through_the_concierge_as_it_was(trial, monkeypatch):
    served = trial("dies-at-start")
    with receiving(served.servers) as address:
        monkeypatch.setenv(ADDRESS, address)
        with pytest.raises(EnvironmentProblem, match="no such layer") as caught:
            service_of(DESCRIBED, IDENTITY, print).reach()
    assert caught.value.exit_code == 4


def test_without_a_run_nobody_serves(monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    with pytest.raises(EnvironmentProblem, match="nobody serves"):
        service_of(DESCRIBED, IDENTITY, print)


def test_outside_a_run_a_block_serves_and_ends_its_model(trial):
    served = trial("fine")

    def broken_off():
        with serving(DESCRIBED, IDENTITY, tell=print, servers=served.servers) as service:
            assert (service.model, service.identity) == ("tiny", IDENTITY)
            service.reach()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert served.num_starts == 1
    assert not any(map(runs, served.pids))
    with serving("http://h/v1/#m", "x", tell=print) as service:
        assert service.identity == "http://h/v1#m"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path, number):
    code = f"""
import sys, time
sys.path.insert(0, {str(STAND_IN.parents[2])!r})
from pathlib import Path
from tests.serving.conftest import Trial
trial = Trial(Path({str(tmp_path)!r}), "with-children")
trial.reach()
print("ready", flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "ready\n"
    pids = [int(each.read_text()) for each in [*tmp_path.glob("start-*"), *tmp_path.glob("child-*")]]
    assert len(pids) == 3
    assert all(map(runs, pids))
    owner.send_signal(number)
    owner.wait()
    owner.stdout.close()
    assert gone_within(pids, 5)


def test_a_server_that_ignores_being_asked_is_made_to_end(trial):
    served = trial("stubborn", patience_seconds=0.3)
    served.reach()
    os.kill(served.servers._entries[DESCRIBED].server._guard.pid, signal.SIGTERM)
    assert gone_within(served.pids, 20)


def test_even_without_its_guard_a_server_is_ended(trial):
    served = trial("fine")
    served.reach()
    os.kill(served.servers._entries[DESCRIBED].server._guard.pid, signal.SIGKILL)
    assert gone_within(served.pids, 5)


def test_of_a_log_the_causes_are_told_and_not_what_points_to_them():
    log = """INFO 11-28 starting
(Worker pid=16425) ERROR 11-28 16:01:21 [multiproc_executor.py:953]     raise ValueError("x")
(Worker pid=16425) ERROR 11-28 16:01:21 [multiproc_executor.py:953] ValueError: GPT2 does not support LoRA yet.
(EngineCore pid=1) ERROR 11-28 16:01:21 [a.py:1] Exception: Worker failed. See stack trace for root cause.
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
    assert telling_lines(log) == ["ValueError: GPT2 does not support LoRA yet."]
    assert telling_lines("one\ntwo\n\n") == ["one", "two"]
