"""The local executor does each step once, after its parents, and outlives whatever a step does."""

from __future__ import annotations

import _thread
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

from sftbench import shelf
from sftbench.errors import SftbenchError
from sftbench.plan import Step

MOVED = """
import torch
weights = torch.linspace(-1, 1, 16 * 257).sin().view(257, 16)

def moved(at):
    room = torch.empty(weights.numel() + 16)[at : at + weights.numel()].view_as(weights)
    return room.copy_(weights)

print(len({(weights[:1] @ moved(at).T).numpy().tobytes() for at in range(16)}))
"""


def is_alive(pid):
    """Whether a process is there; one that is dead and not yet waited for is not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen")


def test_what_a_step_made_is_in_the_store_with_its_record(workshop):
    step = workshop.toy("first", add=0.5)
    assert workshop.run(step) == {"first": "done"}
    record = workshop.record(step)
    assert record.identity == step.identity
    assert record.provenance == {"made": "in a test"}
    assert record.payload["parents"] == {"pool": workshop.pool.ref}
    assert record.ledger.wall_seconds > 0
    scores = shelf.load_scores(workshop.store.folder(step.room, step.key))
    np.testing.assert_array_equal(scores.values, [1.5, 2.5, 3.5, 4.5, 5.5])
    assert ("first", {"event": "log", "message": "first: scored"}) in workshop.events


def test_a_process_computes_the_same_wherever_its_numbers_lie_in_memory(workshop, monkeypatch):
    monkeypatch.delenv("MKL_CBWR", raising=False)
    step = workshop.toy("first", reports="environment")
    workshop.run(step)
    environment = shelf.load_scores(workshop.store.folder(step.room, step.key)).report
    assert environment["MKL_CBWR"] == "AUTO"
    told = subprocess.run([sys.executable, "-c", MOVED], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1"]


def test_an_interrupt_that_breaks_no_wait_is_heard_all_the_same(workshop):
    """As when Ctrl-C is pressed just before the run begins to wait for its processes."""
    step = workshop.toy("slow", seconds=60.0)
    pressed = threading.Timer(1.0, _thread.interrupt_main)
    pressed.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        workshop.run(step)
    assert time.monotonic() - begun < 30


def test_parents_are_done_before_children_also_with_two_processes(workshop):
    first = workshop.toy("first", seconds=0.2)
    left, right = (workshop.toy(name, after=[first]) for name in ("left", "right"))
    last = workshop.toy("last", after=[left, right])
    outcomes = workshop.run(last, right, left, first, workers=2)
    assert set(outcomes.values()) == {"done"}
    order = [label for label, _, _ in workshop.ends]
    assert order[0] == "first"
    assert order[-1] == "last"


def test_steps_that_do_not_wait_for_each_other_are_done_at_once(workshop, diary):
    # Each begins and waits for the other: one after the other they would wait for ever.
    steps = [workshop.toy(name, meets=2, diary=diary.path) for name in ("left", "right")]
    assert workshop.run(*steps, workers=2) == {"left": "done", "right": "done"}


def test_a_failing_step_is_a_record_its_children_are_left_out_and_others_go_on(workshop):
    bad = workshop.toy("bad", fails=True)
    child, other = workshop.toy("child", after=[bad]), workshop.toy("other")
    assert workshop.run(bad, child, other) == {"bad": "failed", "other": "done"}
    record = workshop.record(bad)
    assert record.status == "failed"
    assert record.failure.error == "ValueError"
    assert record.failure.message == "the toy is broken"
    assert "toy_parts.py" in record.failure.trace
    assert workshop.record(child) is None


def test_a_process_that_is_killed_is_replaced_and_its_step_done(workshop, diary):
    step = workshop.toy("shaky", kills=1, diary=diary.path)
    assert workshop.run(step) == {"shaky": "done"}
    assert len({pid for pid, _, _ in diary.lines()}) == 2
    told = [event["message"] for _, event in workshop.events if event["event"] == "log"]
    assert any("signal 9" in message and "once more" in message for message in told)


def test_a_step_whose_process_dies_twice_has_died_and_others_go_on(workshop, diary):
    step, other = workshop.toy("deadly", kills=9, diary=diary.path), workshop.toy("other")
    child = workshop.toy("child", after=[step])
    assert workshop.run(step, child, other) == {"deadly": "died", "other": "done"}
    assert len(diary.lines()) == 2
    assert workshop.record(step) is None
    (why,) = [why for label, _, why in workshop.ends if label == "deadly"]
    assert "worker-0.log" in why


def test_a_step_that_died_is_tried_again_by_the_next_run(workshop, diary):
    step = workshop.toy("deadly", kills=2, diary=diary.path)
    assert workshop.run(step) == {"deadly": "died"}
    assert workshop.run(step) == {"deadly": "done"}


def test_answers_that_could_not_be_read_stay_beside_the_failure_and_cost_the_same_again(workshop, serve):
    server = serve(lambda body: "1" if body["prompt"] == "a" else f"about {len(body['prompt'])}")
    chat = f"{server.url}#m"
    step = Step(
        room="scores", label="asked", identity={"part": "toy-asker@1", "parameters": {}, "chat": chat},
        parents={"pool": workshop.pool.ref}, where={"chat": chat},
    )  # fmt: skip
    costs = []
    for redo in (frozenset(), frozenset({step.ref})):
        assert workshop.run(step, redo=redo) == {"asked": "failed"}
        record, folder = workshop.record(step), workshop.store.folder(step.room, step.key)
        assert record.failure.message == "not all could be read"
        assert {path.name for path in folder.iterdir()} == {"record.json", "unparsed.jsonl"}
        kept = [json.loads(line) for line in (folder / "unparsed.jsonl").read_text().splitlines()]
        assert Counter(each["answer"] for each in kept) == {f"about {size}": 2 for size in (2, 3, 4, 5)}
        costs.append((record.ledger.tokens_forward, record.ledger.tokens_generated))
    assert costs == [(9 * 7, 9 * 3)] * 2
    assert len(server.bodies) == 9


@pytest.mark.parametrize("reports", ["nan", "object"])
def test_a_report_that_is_no_json_is_a_failure_and_not_a_dead_process(workshop, reports):
    step = workshop.toy("strange", reports=reports)
    assert workshop.run(step) == {"strange": "failed"}
    assert "JSON" in workshop.record(step).failure.message


def test_an_evaluation_that_is_no_json_is_a_broken_contract(workshop):
    step = evaluation(workshop, reports="object")
    assert workshop.run(step) == {"measured": "failed"}
    assert workshop.record(step).failure.exit_code == 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_stops_the_run_with_the_way_out_and_fails_no_step_for_good(workshop):
    before, step = workshop.toy("before"), workshop.toy("full", disk_full=True)
    full = dataclasses.replace(step, parents={**step.parents, "before": before.ref})
    with pytest.raises(SftbenchError, match=r"disk of the store .* is full") as caught:
        workshop.run(before, full)
    assert caught.value.exit_code == 4
    assert workshop.record(before).status == "done"
    assert workshop.record(full) is None


def evaluation(workshop, **parameters):
    identity = {"part": "toy-evaluator@1", "parameters": {"reports": "", **parameters}}
    return Step(room="evaluation", label="measured", identity=identity, parents={"pool": workshop.pool.ref})


def test_each_stage_has_processes_of_its_own(workshop, diary):
    first, second = (workshop.toy(name, diary=diary.path) for name in ("first", "second"))
    measured = evaluation(workshop)
    workshop.run(first, second, measured)
    choosing = {pid for pid, _, _ in diary.lines()}
    measuring = set(workshop.record(measured).payload["items"]["pid"])
    assert len(choosing) == len(measuring) == 1
    assert choosing != measuring


def test_what_has_ended_is_not_done_again(workshop, diary):
    done, failed = workshop.toy("done", diary=diary.path), workshop.toy("failed", diary=diary.path)
    child = workshop.toy("child", after=[failed])
    outcomes = workshop.run(done, failed, child, ended={done.ref: "done", failed.ref: "failed"})
    assert outcomes == {"done": "done", "failed": "failed"}
    assert diary.lines() == []


def test_a_step_to_be_done_again_replaces_what_is_there(workshop, diary):
    step = workshop.toy("step", diary=diary.path)
    workshop.run(step)
    before = (workshop.store.folder(step.room, step.key) / "record.json").stat().st_mtime_ns
    workshop.run(step)
    assert len(diary.lines()) == 1
    workshop.run(step, redo=frozenset({step.ref}))
    assert len(diary.lines()) == 2
    assert (workshop.store.folder(step.room, step.key) / "record.json").stat().st_mtime_ns > before


def test_two_executors_on_one_store_make_each_step_once(workshop, diary):
    steps = [workshop.toy(f"step {index}", diary=diary.path, seconds=0.2, add=index) for index in range(3)]
    wanted = {step.ref: step for step in steps}
    outcomes = [None, None]

    def carry_out(index):
        outcomes[index] = workshop.executor(workers=1).run(wanted, {workshop.pool.ref: "done"})

    threads = [threading.Thread(target=carry_out, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {workshop.pool.ref: "done", **dict.fromkeys(wanted, "done")}
    assert outcomes == [expected, expected]
    # Each call of a toy that takes time writes twice: at its start and at its end.
    assert len(diary.lines()) == 2 * len(steps)


RUN = """
import json, sys
from pathlib import Path
from sftbench.executors.local import LocalExecutor, Slots
from sftbench.plan import Step

store, steps, pool = Path(sys.argv[1]), [Step(**each) for each in json.loads(sys.argv[2])], sys.argv[3]
executor = LocalExecutor(
    store=store, slots=Slots(num_workers=2, num_threads=1), logs=store / "logs", provenance={},
    on_event=lambda step, event: None, on_end=lambda step, outcome, why: None,
)
executor.run({step.ref: step for step in steps}, {pool: "done"})
"""


def hear_interrupts():
    """For a child: a test run that was started in the background ignores Ctrl-C, and its children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_no_process_outlives_the_run_and_the_next_run_goes_on(workshop, diary, signal_number):
    quick = workshop.toy("quick", diary=diary.path)
    endless = [workshop.toy(f"endless {index}", diary=diary.path, seconds=120, add=index) for index in range(2)]
    # The quick one comes first, so that something is finished when the run ends.
    steps = [quick, *(dataclasses.replace(each, parents={**each.parents, "after": quick.ref}) for each in endless)]
    text = json.dumps([dataclasses.asdict(step) for step in steps])
    run = subprocess.Popen([sys.executable, "-c", RUN, str(workshop.store.root), text, workshop.pool.ref],
                           stderr=subprocess.DEVNULL, preexec_fn=hear_interrupts)  # fmt: skip
    wait_for(lambda: len(diary.lines()) == 3)
    workers = {int(pid) for pid, _, _ in diary.lines()}
    run.send_signal(signal_number)
    run.wait(timeout=120)
    wait_for(lambda: not any(is_alive(pid) for pid in workers))
    assert workshop.record(quick).status == "done"
    assert workshop.record(steps[1]) is None
    # The locks went with the processes: another run may make the same step.
    with workshop.store.making(steps[1].room, steps[1].key):
        pass


def asks(step):
    """The step as one that asks a model which the run serves."""
    return dataclasses.replace(step, where={"chat": "vllm:/model"})


def test_steps_that_ask_a_served_model_have_the_machine_to_themselves(workshop, diary):
    plain = [workshop.toy(f"plain {index}", diary=diary.path, seconds=0.3) for index in range(2)]
    asking = [asks(workshop.toy(f"asks {index}", diary=diary.path, seconds=0.3)) for index in range(2)]
    after = workshop.toy("after", after=[asking[0]], diary=diary.path, seconds=0.3)
    executor = workshop.executor(workers=2)
    begun = []
    executor.on_begin = lambda step: begun.append(step.label)
    steps = [*asking, *plain, after]
    outcomes = executor.run({step.ref: step for step in (workshop.pool, *steps)}, {workshop.pool.ref: "done"})
    assert set(outcomes.values()) == {"done"}
    assert [sorted(begun[:2]), sorted(begun[2:4]), begun[4]] == [["plain 0", "plain 1"], ["asks 0", "asks 1"], "after"]
    ends = {label: time_of for time_of, (label, _, _) in enumerate(workshop.ends)}
    assert max(ends[step.label] for step in plain) < min(ends[step.label] for step in asking)
    assert ends["after"] == 4


def test_steps_that_ask_a_served_model_run_beside_each_other(workshop, diary):
    steps = [asks(workshop.toy(f"asks {index}", diary=diary.path, meets=2)) for index in range(2)]
    assert set(workshop.run(*steps, workers=2).values()) == {"done"}


def test_processes_hear_what_the_run_tells_them(workshop):
    step = workshop.toy("told", reports="environment")
    executor = workshop.executor()
    executor.environment = {"TOLD": "yes"}
    executor.run({each.ref: each for each in (workshop.pool, step)}, {workshop.pool.ref: "done"})
    assert workshop.record(step).payload["report"]["TOLD"] == "yes"


def test_steps_that_have_their_models_served_for_answers_go_one_by_one(tmp_path):
    from types import SimpleNamespace

    from sftbench.executors.local import LocalExecutor, Slots

    executor = LocalExecutor(
        store=tmp_path, slots=Slots(num_workers=4, num_threads=1), logs=tmp_path, provenance={},
        on_event=print, on_end=print,
    )  # fmt: skip
    asking = [
        Step(room="responses", label=name, identity={"name": name}, where={"answers": "vllm:/m"}) for name in "ab"
    ]
    measuring = Step(room="evaluation", label="c", identity={})
    assert executor._admitted([*asking, measuring]) == asking[:1]
    executor._workers[0] = SimpleNamespace(step=asking[0], stage="answer")
    assert executor._admitted([asking[1], measuring]) == []
    executor._workers.clear()
    assert executor._admitted([asking[1], measuring]) == [asking[1]]
    assert executor._admitted([measuring]) == [measuring]
