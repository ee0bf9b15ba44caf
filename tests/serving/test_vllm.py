"""The real vLLM: what its answers hold, that a command reaches it, and that a killed one leaves nothing of it."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from sftbench.chat import ChatRequest
from sftbench.engines.chat import ChatClient
from sftbench.judging.card.words import NOTHING_SAID
from sftbench.ledger import Meter
from sftbench.rooms import Message
from sftbench.serving.environment import installed_versions

from .conftest import TOYS, bench_score, gone_within

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400), pytest.mark.xdist_group("vllm")]


@pytest.fixture
def client(vllm_server, tmp_path):
    return ChatClient(
        endpoint=vllm_server, cache=tmp_path / "cache", unparsed=tmp_path / "unparsed", meter=Meter(), log=print
    )


def asking(text, **more):
    return ChatRequest(messages=(Message(role="user", content=text),), **more)


def test_a_conversation_is_answered_though_the_model_has_no_chat_template(client):
    answers = client.ask([asking(f"Say {index}.", max_new_tokens=5) for index in range(20)], str)
    assert [each.reason for each in answers] == [None] * 20
    assert client.num_uncounted == 0
    assert 20 <= client.meter.ledger().tokens_generated <= 100


def test_an_answer_keeps_to_a_schema(client):
    schema = {
        "type": "object",
        "properties": {"verdict": {"enum": ["A>>B", "A=B", "B>>A"]}},
        "required": ["verdict"],
        "additionalProperties": False,
    }
    requests = [asking(f"Judge pair {index}.", json_schema=schema, max_new_tokens=60) for index in range(5)]
    answers = client.ask(requests, json.loads)
    assert {each.value["verdict"] for each in answers} <= {"A>>B", "A=B", "B>>A"}
    assert all(set(each.value) == {"verdict"} for each in answers)


def test_log_probabilities_are_those_of_the_model(client, reference_data):
    import torch

    from sftbench.engines.forward import LanguageModel

    prompt = "The best answer is"
    request = ChatRequest(prompt=prompt, max_new_tokens=1, top_logprobs=5)
    told = client.ask([request], str)[0].top_logprobs[0]
    assert len(told) == 5
    path = reference_data / "models" / "tiny-gpt2"
    model = LanguageModel.load(path, dtype="float32", meter=Meter())
    ids = torch.tensor([model.tokenizer(prompt)["input_ids"]])
    with torch.no_grad():
        expected = torch.log_softmax(model.model(ids).logits[0, -1].double(), dim=-1)
    best = expected.topk(5)
    for index, value in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        assert told[model.tokenizer.decode([index])] == pytest.approx(value, abs=1e-3)
    assert math.exp(max(told.values())) <= 1


def begun_by(command):
    """All that a process has started and that runs now, by number. Other tests serve models of their own meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return {each.pid for each in psutil.Process(command.pid).children(recursive=True)}
    return set()


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TOYS))
    monkeypatch.setenv("SFTBENCH_PLUGINS", "asking_parts")
    installed_versions.cache_clear()


@pytest.mark.usefixtures("toys")
def test_a_command_reaches_it_and_killed_while_it_asks_leaves_no_process(
    vllm_server, reference_data, small_pool, tmp_path
):
    shared = vllm_server.reach()
    model = reference_data / "models" / "tiny-gpt2"
    use = "asker[seconds=200]"
    command = bench_score(small_pool, model, tmp_path / "s", use=use, chat=f"vllm:{model}")
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while len(list((tmp_path / "s" / "chat").rglob("*.json"))) < 4:
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.2)
    begun = begun_by(running)
    assert len(begun) >= 3
    running.send_signal(signal.SIGKILL)
    _, said = running.communicate()
    assert "tiny-gpt2 is served after" in said
    assert gone_within(begun, 30)
    # The server that the tests share was not meant.
    assert vllm_server.reach() == shared


def test_a_run_goes_from_a_pool_to_win_rates_and_the_card_of_a_judge_that_judges_badly(
    vllm_environment, reference_data, material, tmp_path
):
    """Three methods on prompts of AlpacaEval: a model of 3.5 million parameters cannot judge, and its card says so."""
    model = reference_data / "models" / "tiny-gpt2"
    command = [
        str(Path(sys.executable).parent / "bench"), "run", "--methods", "tshirt,micro-response,longest", "--controls",
        "none", "--seeds", "1", "--pool", str(material.pool), "--limit-pool", "60", "--base", str(material.model),
        "--budget", "10%", "--suite", "alpaca-eval", "--task-data", str(reference_data / "data" / "judge"),
        "--limit", "3", "--baseline", "longest", "--judge", f"vllm:{model}", "--trainer", "sft[max_steps=2]",
        "--max-new-tokens", "8", "--contamination", "none", "--store", str(tmp_path / "s"), "--results",
        str(tmp_path / "r"), "--board", str(tmp_path / "b"), "--name", "judged",
    ]  # fmt: skip
    begun = set()
    with (tmp_path / "said").open("w+") as said:
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        while running.poll() is None:
            begun |= begun_by(running)
            time.sleep(0.5)
    assert running.returncode == 0, (tmp_path / "said").read_text()
    board = json.loads((tmp_path / "b" / "board.json").read_text())
    found = {row["label"]: row["win_rate"]["mean"] for row in board["judged"]}
    assert set(found) == {"tshirt", "micro-response"}
    assert all(0 <= mean <= 100 for mean in found.values())
    card = json.loads((tmp_path / "r" / "judged" / "judge-card.json").read_text())
    assert card["passes"] is not True
    assert NOTHING_SAID in card["words"][0]
    published = "".join(path.read_text() for path in (tmp_path / "r").rglob("*.json"))
    published += (tmp_path / "b" / "run.html").read_text()
    for place in (model.parent, material.pool, material.model, tmp_path):
        assert str(place) not in published
    # The guard, the server and its engine at least, beside the run's own.
    assert len(begun) >= 3
    assert gone_within(begun, 10)
