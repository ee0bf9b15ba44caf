"""The chat client against a server of its own that speaks the protocol, and misbehaves on demand."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from sftbench.chat import ChatRequest, Endpoint, Room
from sftbench.engines.chat import ChatClient
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.ledger import Meter
from sftbench.rooms import Message
from sftbench.serving.service import NUM_AT_ONCE


@pytest.fixture
def client(tmp_path):
    def make(server, model="m", folder="cache", **more):
        meter, logged = Meter(), []
        made = ChatClient(
            endpoint=Endpoint(url=server.url, model=model), cache=tmp_path / folder,
            unparsed=tmp_path / "unparsed.jsonl", meter=meter, log=logged.append, **{"waits": (), **more},
        )  # fmt: skip
        made.logged = logged
        return made

    return make


def request(text, **more):
    return ChatRequest(messages=(Message(role="user", content=text),), **more)


def last(body):
    return body["messages"][-1]["content"]


def test_answers_come_in_order_are_counted_and_never_too_many_at_once(serve, client, tmp_path):
    server = serve(lambda body: last(body).upper())
    asked = client(server, num_at_once=3)
    answers = asked.ask([request(f"w{index}") for index in range(20)], str)
    assert [each.value for each in answers] == [f"W{index}" for index in range(20)]
    assert server.most_at_once <= 3
    ledger = asked.meter.ledger()
    assert (ledger.tokens_forward, ledger.tokens_generated) == (140, 60)
    assert asked.counts() == {"model": "m", "num_requests": 20, "num_unparsable_texts": 0, "num_failed": 0,
                              "num_uncounted_texts": 0}  # fmt: skip


def test_what_was_answered_once_is_not_asked_again_unless_something_differs(serve, client):
    server = serve(lambda body: "yes")
    client(server).ask([request("a", seed=1)], str)
    client(server).ask([request("a", seed=1)], str)
    assert len(server.bodies) == 1
    client(server).ask([request("a", seed=2), request("a", seed=1, temperature=0.5), request("b", seed=1)], str)
    client(server, model="other").ask([request("a", seed=1)], str)
    assert len(server.bodies) == 5


def test_two_servers_that_call_their_models_alike_do_not_share_answers(serve, client):
    first, second = serve(lambda body: "one"), serve(lambda body: "two")
    assert [client(each).ask([request("a")], str)[0].value for each in (first, second, first)] == ["one", "two", "one"]
    assert (len(first.bodies), len(second.bodies)) == (1, 1)


def test_an_answer_without_a_field_is_not_the_answer_with_it(serve, client):
    """A server that learns to hold its model to a schema is asked again, and what it said before is kept too."""
    knows = False

    def reply(body):
        if "response_format" in body:
            return "held to it" if knows else (400, "unknown field response_format")
        return "free"

    server = serve(reply)
    asked = [request("a", json_schema={"type": "object"}, seed=seed) for seed in (1, 2)]
    for _ in range(2):
        assert [each.value for each in client(server, num_at_once=1).ask(asked, str)] == ["free", "free"]
    assert Counter("response_format" in body for body in server.bodies) == {False: 2, True: 2}
    knows = True
    assert [each.value for each in client(server).ask(asked, str)] == ["held to it"] * 2


def test_an_answer_costs_what_it_cost_whoever_asked_first(serve, client):
    """Or the cost of a method would fall to the run, or the attempt, that happened to be the first."""
    server = serve(lambda body: "4" if body["temperature"] else "four")
    costs = []
    for _ in range(2):
        asked = client(server)
        asked.ask([request("2+2"), request("3+1")], int)
        costs.append(asked.meter.ledger())
    assert len(server.bodies) == 4
    assert [(each.tokens_forward, each.tokens_generated) for each in costs] == [(28, 12), (28, 12)]


def test_answers_whose_tokens_the_endpoint_does_not_count_are_told(serve, client):
    server = serve(lambda body: "yes")
    server.counts_tokens = False
    for _ in range(2):
        asked = client(server)
        asked.ask([request("a"), request("b")], str)
        assert asked.counts()["num_uncounted_texts"] == 2
        assert asked.meter.ledger().tokens_generated == 0


def test_an_answer_that_cannot_be_parsed_is_asked_again_otherwise_and_kept_for_people(serve, client, tmp_path):
    server = serve(lambda body: "4" if body["temperature"] else "four")
    asked = client(server)
    (answer,) = asked.ask([request("2+2")], int)
    assert (answer.value, answer.attempts, answer.reason) == (4, 2, None)
    (kept,) = [json.loads(line) for line in (tmp_path / "unparsed.jsonl").read_text().splitlines()]
    assert (kept["asked"], kept["answer"]) == ("2+2", "four")
    assert "invalid literal" in kept["why"]


def test_an_answer_says_whether_it_was_cut_off_also_out_of_the_cache(serve, client):
    texts = {"long": ("and then", "length"), "short": "done", "bad": ("no number", "length")}
    server = serve(lambda body: texts[body.get("prompt") or last(body)])
    for _ in range(2):
        asked = client(server)
        answers = asked.ask([request("long"), request("short"), ChatRequest(prompt="long")], str)
        assert [each.value for each in answers] == ["and then", "done", "and then"]
        assert [each.ended for each in answers] == [False, True, False]
        (bad,) = asked.ask([request("bad")], int)
        assert (bad.reason, bad.ended) == ("parse_error", False)
    assert len(server.bodies) == 5


def test_nonsense_to_the_end_is_a_recorded_failure_and_no_value(serve, client):
    asked = client(serve(lambda body: "four" if last(body) == "bad" else "4"))
    bad, good = asked.ask([request("bad"), request("good")], int, num_attempts=3)
    assert (bad.value, bad.reason, bad.attempts, bad.text) == (None, "parse_error", 3, "four")
    assert good.value == 4
    assert asked.counts()["num_failed"] == 1


def test_one_request_that_is_refused_does_not_stop_the_others(serve, client):
    asked = client(serve(lambda body: (400, "too long") if last(body) == "long" else "ok"))
    refused, fine = asked.ask([request("long"), request("short")], str)
    assert (refused.value, refused.reason) == (None, "model_error")
    assert fine.value == "ok"
    assert any("too long" in line for line in asked.logged)


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "does not serve a model 'm'"), (429, "run again later")],
)
def test_an_endpoint_that_cannot_be_used_says_how_to_go_on(serve, client, status, message):
    with pytest.raises(EnvironmentProblem, match=message):
        client(serve(lambda body: (status, "no"))).ask([request("a")], str)


def test_an_endpoint_that_breaks_or_is_silent_ends_the_step_and_is_no_answer(serve, client):
    """Written down as an answer, it would stay one: the step would be done, its rows rated worst or without tags."""
    released = threading.Event()

    def reply(body):
        if last(body) == "silent":
            released.wait(60)
        return (503, "loading") if last(body) == "breaks" else "yes"

    server = serve(reply)
    with pytest.raises(EnvironmentProblem, match=r"error \(503: .*loading.*kept; run again"):
        client(server, num_at_once=1, waits=(0.0,)).ask([request("fine"), request("breaks")], str)
    with pytest.raises(EnvironmentProblem, match=r"no answer within 0\.5 s"):
        client(server, num_at_once=1, waits=(0.0,), timeout_seconds=0.5).ask([request("fine"), request("silent")], str)
    released.set()
    # What was answered is kept; what breaks is tried again, and what is silent has had its time.
    assert Counter(map(last, server.bodies)) == {"fine": 1, "breaks": 2, "silent": 1}


def test_an_endpoint_that_is_busy_is_asked_again_after_a_while(serve, client, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    states = iter([(503, "loading"), (429, "slower"), "yes"])
    (answer,) = client(serve(lambda body: next(states)), waits=(1.0, 2.0, 4.0)).ask([request("a")], str)
    assert answer.value == "yes"
    assert slept == [1.0, 2.0]


def test_nobody_at_the_endpoint_is_told_and_what_was_answered_stays(serve, client):
    server = serve(lambda body: "yes")
    asked = client(server, num_at_once=1)
    asked.ask([request("a")], str)
    server.stop()
    assert client(server).ask([request("a")], str)[0].value == "yes"
    with pytest.raises(EnvironmentProblem, match="nothing answers at"):
        client(server).ask([request("b")], str)


def test_a_schema_is_sent_and_left_out_where_the_endpoint_does_not_know_it(serve, client):
    schema = {"type": "object"}
    knowing = serve(lambda body: body["response_format"]["json_schema"]["schema"]["type"])
    assert client(knowing, folder="one").ask([request("a", json_schema=schema)], str)[0].value == "object"

    def old(body):
        return (400, "unknown field response_format") if "response_format" in body else "fine"

    server = serve(old)
    asked = client(server, folder="two", num_at_once=1)
    answers = asked.ask([request(text, json_schema=schema) for text in "abc"], str)
    assert [each.value for each in answers] == ["fine"] * 3
    assert Counter("response_format" in body for body in server.bodies) == {True: 1, False: 3}


def test_a_raw_prompt_goes_to_completions_with_all_that_was_asked(serve, client):
    server = serve(lambda body: body["prompt"] + "!")
    wanted = ChatRequest(prompt="go", max_new_tokens=5, temperature=0.9, top_p=0.8, seed=3, stop=("\n",))
    assert client(server).ask([wanted], str)[0].value == "go!"
    (body,) = server.bodies
    assert body["path"].endswith("/completions")
    assert not body["path"].endswith("/chat/completions")
    assert {name: body[name] for name in ("max_tokens", "temperature", "top_p", "seed", "stop")} == {
        "max_tokens": 5, "temperature": 0.9, "top_p": 0.8, "seed": 3, "stop": ["\n"],
    }  # fmt: skip


def test_the_key_is_sent_and_written_nowhere(serve, client, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    asked = client(serve(lambda body: "x"))
    asked.ask([request("a")], int)
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert written
    assert "sk-secret" not in written + str(asked.counts()) + str(asked.logged)


@pytest.mark.parametrize("text", ["http://a/v1", "m", "#m", "ftp://a#m", "http://a/v1#", "http://u:p@a/v1#m"])
def test_an_endpoint_is_a_url_and_a_model(text):
    with pytest.raises(UsageError):
        Endpoint.parse(text)


@pytest.mark.parametrize("text", ["https://h/v1?api-key=SECRET#m", "https://u:SECRET@h/v1#m", "https://h/v1?k=SECRET"])
def test_a_key_in_the_url_is_refused_and_not_repeated(text):
    """The URL is in `run.json`, which is for publishing."""
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        Endpoint.parse(text)
    assert "SECRET" not in str(caught.value)


def test_a_model_may_be_called_what_it_likes():
    assert str(Endpoint.parse("http://h/v1/#team/m?x@y")) == "http://h/v1#team/m?x@y"


def test_a_request_is_a_conversation_or_a_prompt():
    for more in ({}, {"prompt": "a", "messages": (Message(role="user", content="a"),)}):
        with pytest.raises(ValueError, match="either messages or a prompt"):
            ChatRequest(**more)


def test_log_probabilities_come_with_the_answer_also_from_the_cache_and_only_where_wanted(serve, client):
    places = [{"token": "A", "logprob": -0.1, "bytes": None,
               "top_logprobs": [{"token": "A", "logprob": -0.1, "bytes": None},
                                {"token": "B", "logprob": -2.4, "bytes": None}]}]  # fmt: skip
    server = serve(lambda body: "A")
    server.logprobs = {"content": places}
    for _ in range(2):
        (answer,) = client(server).ask([request("a", top_logprobs=2)], str)
        assert answer.top_logprobs == ({"A": -0.1, "B": -2.4},)
    assert [(body["logprobs"], body["top_logprobs"]) for body in server.bodies] == [(True, 2)]
    assert client(server).ask([request("a")], str)[0].top_logprobs == ()


def test_log_probabilities_of_raw_completions_have_a_form_of_their_own(serve, client):
    server = serve(lambda body: "A")
    server.logprobs = {"top_logprobs": [{"A": -0.1, " B": -2.4}]}
    (answer,) = client(server).ask([ChatRequest(prompt="x", top_logprobs=2)], str)
    assert answer.top_logprobs == ({"A": -0.1, " B": -2.4},)
    assert server.bodies[0]["logprobs"] == 2


@pytest.mark.parametrize(
    "content",
    [b'{"id": "x", "choices": [{"ind', b"", b"<html>busy</html>", b'{"choices": []}', b'{"choices": null}', b"[1]"],
)
def test_half_an_answer_is_asked_for_again_and_then_told(serve, client, content):
    whole = serve(lambda body: "yes")
    sent = []

    def reply(body):
        sent.append(body)
        return content if len(sent) < 3 else "yes"

    broken = serve(reply)
    (answer,) = client(broken, waits=(0.0, 0.0)).ask([request("a")], str)
    assert (answer.value, len(sent)) == ("yes", 3)
    always = serve(lambda body: content)
    with pytest.raises(EnvironmentProblem, match="sends what is no whole answer"):
        client(always, waits=(0.0,)).ask([request("a")], str)
    assert len(always.bodies) == 2
    assert client(whole).ask([request("a")], str)[0].value == "yes"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("This model's maximum context length is 2048 tokens. However, you requested 3000 tokens.", "too_long"),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 2048.", "too_long"),
        ("max_tokens is too large: 4096; max_model_len is 2048", "too_long"),
        ("max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)", "too_long"),
        ("{'code': 'context_length_exceeded'}", "too_long"),
        ("the request exceeds the available context size. try increasing the context size", "too_long"),
        ("a system role is not supported", "model_error"),
    ],
)
def test_a_request_that_does_not_fit_is_told_from_one_that_is_refused(serve, client, message, reason):
    asked = client(serve(lambda body: (400, message)))
    (answer,) = asked.ask([request("a")], str)
    assert (answer.reason, answer.value, asked.num_failed) == (reason, None, 1)


def test_what_is_refused_with_the_status_of_too_large_is_too_long_where_that_is_said(serve, client):
    words = ["This model's maximum context length is 2048 tokens. However, you requested 3000 tokens.", "payload"]
    for message, reason in zip(words, ("too_long", "model_error"), strict=True):
        server = serve(lambda body, message=message: (413, message) if last(body) == "a" else "yes")
        asked = client(server, waits=(0.0,))
        answers = asked.ask([request("a"), request("b")], str, lenient=True)
        assert [each.reason for each in answers] == [reason, None]
        assert len(server.bodies) == 2


def test_that_a_request_is_too_long_is_kept_and_another_refusal_is_not(serve, client):
    long = "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens."
    server = serve(lambda body: {"a": (400, long), "b": (400, "context_length_exceeded")}.get(last(body), (400, "no")))
    asked = [request(each) for each in "abc"]
    found = [client(server).ask(asked, str) for _ in range(2)]
    assert found[0] == found[1]
    assert [each.room for each in found[0]] == [Room(asked=3000, window=2048), None, None]
    assert [each.reason for each in found[0]] == ["too_long", "too_long", "model_error"]
    assert [last(body) for body in server.bodies][3:] == ["c"]


def test_an_answer_tells_the_tokens_of_all_attempts_kept_or_not(serve, client):
    server = serve(lambda body: "4" if body["temperature"] else "four")
    for _ in range(2):
        assert client(server).ask([request("2+2")], int)[0].num_tokens == 20
    server.counts_tokens = False
    assert client(server).ask([request("1+3")], int)[0].num_tokens is None


@pytest.mark.parametrize(
    ("url", "num"),
    [
        ("http://127.0.0.1:8000/v1", 96), ("http://localhost/v1", 96), ("http://[::1]:1/v1", 96),
        ("http://10.1.2.3/v1", 96), ("http://192.168.0.7:80/v1", 96), ("http://gpu-node:8000/v1", 96),
        ("http://judge.local/v1", 96), ("http://[fd00::1]/v1", 96), ("https://api.openai.com/v1", 16),
        ("http://8.8.8.8/v1", 16), ("http://localhost.example.com/v1", 16), ("http://127.0.0.1.example.com/v1", 16),
        ("http://[2001:4860:4860::8888]/v1", 16),
    ],
)  # fmt: skip
def test_a_server_of_ones_own_is_asked_as_much_at_once_as_a_served_model_and_others_less(url, num):
    assert Endpoint(url=url, model="m").num_at_once == num
    assert NUM_AT_ONCE == 96


def failing_over(failure):
    """A server that fails over one prompt and answers the others."""
    return lambda body: failure if "poison" in last(body) else "fine"


@pytest.mark.parametrize("failure", [(500, "assertion failed"), (503, "no"), (413, "large"), b'{"choi', (400, "no")])
def test_a_prompt_that_a_server_always_fails_over_ends_nothing_where_it_is_asked_leniently(serve, client, failure):
    server = serve(failing_over(failure))
    asked = client(server, waits=(0.0,))
    answers = asked.ask([request("poison"), request("a"), request("poison too")], str, lenient=True)
    assert [each.reason for each in answers] == ["model_error", None, "model_error"]
    assert (asked.counts()["num_refused"], asked.counts()["num_failed"]) == (2, 2)
    assert len(asked.logged) == 2
    # It is no answer: it is asked for again, and what was answered is not.
    server.reply = lambda body: "mended"
    again = client(server).ask([request("poison"), request("a")], str, lenient=True)
    assert [each.value for each in again] == ["mended", "fine"]


def test_silence_over_one_prompt_is_told_from_a_server_that_is_silent(serve, client):
    released = threading.Event()

    def reply(body):
        if "poison" in last(body):
            released.wait(60)
        return "fine"

    server = serve(reply)
    answers = client(server, timeout_seconds=0.5).ask([request("poison"), request("a")], str, lenient=True)
    assert [each.reason for each in answers] == ["model_error", None]
    with pytest.raises(EnvironmentProblem, match=r"no answer within 0\.5 s .*smaller --concurrency"):
        client(server, timeout_seconds=0.5).ask([request("poison")], str)
    released.set()


@pytest.mark.parametrize(("status", "message"), [(401, "OPENAI_API_KEY"), (404, "does not serve"), (429, "run again")])
def test_a_key_a_name_and_a_limit_are_nothing_to_be_lenient_about(serve, client, status, message):
    asked = [request("a"), request("poison")]
    with pytest.raises(EnvironmentProblem, match=message):
        client(serve(failing_over((status, "no")))).ask(asked, str, lenient=True)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_over_everything_ends_the_step_also_where_it_is_asked_leniently(serve, client, status):
    server = serve(lambda body: (status, "broken for good"))
    with pytest.raises(EnvironmentProblem, match="broken for good"):
        client(server, num_at_once=2).ask([request(f"{at}") for at in range(40)], str, lenient=True)
    assert len(server.bodies) < 10


def test_a_server_that_refuses_the_first_sixteen_or_all_cannot_be_used(serve, client):
    server = serve(failing_over((400, "I do not take system prompts")))
    with pytest.raises(EnvironmentProblem, match=r"answered none of 16 requests: .*system prompts"):
        client(server, num_at_once=1).ask([request(f"poison {at}") for at in range(60)], str, lenient=True)
    assert len(server.bodies) < 20
    with pytest.raises(EnvironmentProblem, match="answered none of 2 requests"):
        client(server).ask([request("poison"), request("more poison")], str, lenient=True)
    mixed = [request("a"), *(request(f"poison {at}") for at in range(40))]
    answers = client(server).ask(mixed, str, lenient=True)
    assert [each.reason for each in answers].count("model_error") == 40


@pytest.mark.parametrize(
    ("message", "room"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4952 in the "
         "messages, 48 in the completion).", Room(asked=5000, window=4096)),
        ("This model's maximum context length is 4096 tokens and your request has 4090 input tokens",
         Room(asked=4138, window=4096)),
        ("This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
         Room(asked=5048, window=4096)),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 2048.",
         Room(asked=5048, window=2048)),
        ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
         Room(asked=5048, window=4096)),
        ("exceeds the available context size', 'n_prompt_tokens': 5000, 'n_ctx': 4096", Room(asked=5048, window=4096)),
        ("This model's maximum context length is 2048 tokens. However, your prompt contains at least 2001 input tokens",
         None),
        ("This model's maximum context length is 2048 tokens. However, your prompt contains 90000 characters", None),
        ("context_length_exceeded", None),
    ],
)  # fmt: skip
def test_a_refusal_tells_by_how_much_a_request_is_too_long_where_it_has_counted(serve, client, message, room):
    (answer,) = client(serve(lambda body: (400, message))).ask([request("a", max_new_tokens=48)], str)
    assert (answer.reason, answer.room) == ("too_long", room)


def test_a_tokenizer_behind_an_endpoint_is_asked_and_one_that_is_not_there_only_once(serve, client):
    def reply(body):
        assert body["path"] == "/tokenize"
        return json.dumps({"count": len(last(body)), "max_model_len": 100}).encode()

    asked = [request("abc", max_new_tokens=8), request("abcde", max_new_tokens=8)]
    server = serve(reply)
    for _ in range(2):
        assert client(server).measured(asked) == [Room(asked=11, window=100), Room(asked=13, window=100)]
    assert len(server.bodies) == 2
    for other in (lambda body: (404, "no such place"), lambda body: "an answer", lambda body: b'{"tokens": [1, 2]}'):
        server = serve(other)
        without = client(server)
        assert [without.measured(asked), without.measured(asked)] == [[None, None]] * 2
        assert len(server.bodies) == 2


def test_the_time_in_which_a_server_starts_is_told_once_for_all_that_wait_for_it(serve, client):
    server = serve(lambda body: "yes")
    given = client(server)

    @dataclass
    class Slow:
        endpoint: Endpoint
        model: str = "m"
        identity: str = "slow"
        server: None = None
        num_at_once: int = 8

        def reach(self):
            time.sleep(0.3)
            return self.endpoint

    asked = replace(given, endpoint=Slow(given.endpoint))
    assert asked.seconds_starting == 0
    asked.ask([request(f"{at}") for at in range(8)], str)
    assert 0.3 <= asked.seconds_starting < 2.0
    again = replace(given, endpoint=Slow(given.endpoint))
    again.ask([request("3")], str)
    assert again.seconds_starting == 0


def test_answers_that_are_kept_are_read_without_the_libraries_that_asking_or_computing_takes(serve, client, tmp_path):
    """They take longer to import than a thousand answers to read."""
    server = serve(lambda body: "yes")
    client(server).ask([request("a")], str)
    code = f"""
import sys
from pathlib import Path
from sftbench.chat import ChatRequest, Endpoint
from sftbench.engines.chat import ChatClient
from sftbench.rooms import Message
endpoint, folder = Endpoint(url={server.url!r}, model="m"), Path({str(tmp_path)!r})
asked = ChatClient(endpoint=endpoint, cache=folder / "cache", unparsed=folder / "u", meter=dict, log=print)
(answer,) = asked.ask([ChatRequest(messages=(Message(role="user", content="a"),))], str)
print(answer.value, sorted({{"openai", "torch", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "yes []\n", done.stderr
    assert len(server.bodies) == 1
