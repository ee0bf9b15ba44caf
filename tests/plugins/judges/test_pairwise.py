"""Two answers in both orders: what is asked, what verdicts come to, and what becomes of replies of no use."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from sftbench import EnvironmentProblem, Responses, UsageError
from sftbench.judgement import verdict_lines
from sftbench.judging.verdicts import read_verdicts
from sftbench_plugins.judges.games import Games, Pair
from sftbench_plugins.judges.pairwise import Pairwise
from sftbench_plugins.judges.purse import Purse

from .conftest import between, prefers, responses, user_turn

MODEL = "http://x/v1#m"
QUESTIONS = [{"instruction": f"question {at}"} for at in range(4)]


@pytest.fixture
def judged(serve, pool, desk):
    """Verdicts of a server's model on two lists of answers; the server is `judged.server`, the desk `judged.desk`."""

    def judge(reply, mine, theirs, *, rows=None, logprobs=None, server=None, **parameters):
        judge.server = server or serve(reply)
        judge.server.logprobs = logprobs
        part = Pairwise(model=MODEL, **parameters)
        judge.desk = desk(judge.server, part)
        heldout = pool(*(rows or QUESTIONS[: len(mine)]))
        return part.judge(heldout, responses(mine), responses(theirs), judge.desk)

    return judge


def test_the_better_answer_wins_whichever_side_it_is_on(judged):
    found = judged(prefers("good"), ["good 0", "bad 1", "good 2", "so"], ["bad 0", "good 1", "good x", "la"])
    assert found.preference.tolist() == [1, 0, 0.5, 0.5]
    assert found.columns["model_first"] == ["A>B", "B>A", "A=B", "A=B"]
    assert found.columns["baseline_first"] == ["B>A", "A>B", "A=B", "A=B"]
    assert (found.report["consistency"], found.report["position_bias"], found.report["tie_rate"]) == (1, 0, 0.5)
    assert len(judged.server.bodies) == found.report["num_calls"] == 8


def test_both_orders_are_asked_with_equal_words_around_them(judged):
    judged(prefers("mine"), ["mine"], ["theirs"])
    first, second = sorted(judged.server.bodies, key=lambda body: between(user_turn(body), "answer-A"))
    assert [between(user_turn(first), name) for name in ("question", "answer-A", "answer-B")] == [
        "question 0", "mine", "theirs",
    ]  # fmt: skip
    assert [between(user_turn(second), name) for name in ("answer-A", "answer-B")] == ["theirs", "mine"]
    assert first["messages"][0] == second["messages"][0]
    assert {body["temperature"] for body in judged.server.bodies} == {0}


def test_a_judge_that_looks_at_the_place_alone_finds_everything_even(judged):
    """Labels carry no advantage: contradicting verdicts are ties, and both are counted."""
    found = judged(lambda body: '{"verdict": "A>>B"}', list("abcd"), list("efgh"))
    assert found.preference.tolist() == [0.5] * 4
    assert (found.report["consistency"], found.report["position_bias"]) == (0, 0.5)


def test_swapping_model_and_baseline_turns_the_verdicts_around_and_asks_nothing_new(judged):
    mine, theirs = ["good 0", "bad 1", "same", "x"], ["bad 0", "good 1", "same", "good"]
    server = None
    for parameters in ({}, {"labels": "logprobs"}):
        there = judged(prefers("good"), mine, theirs, server=server, logprobs=by_length, **parameters)
        server, count = judged.server, len(judged.server.bodies)
        back = judged(prefers("good"), theirs, mine, server=server, logprobs=by_length, **parameters)
        np.testing.assert_allclose(back.preference, 1 - there.preference, rtol=0, atol=1e-12)
        assert len(server.bodies) == count
        assert back.report["position_bias"] == pytest.approx(there.report["position_bias"])


def test_identical_and_empty_answers_need_no_judge(judged):
    found = judged(prefers("good"), ["same", "", " ", "good"], ["same", "", "", ""])
    assert found.preference.tolist() == [0.5, 0.5, 0.5, 1]
    assert len(judged.server.bodies) == 2
    assert found.columns["flags"] == [[], ["empty_response"], ["empty_response"], ["empty_response"]]
    assert found.report["num_without_call"] == 3


def test_an_empty_question_and_a_missing_answer_are_not_judged(serve, pool, desk):
    server, part = serve(prefers("good")), Pairwise(model=MODEL)
    heldout = pool({"instruction": "  "}, {"instruction": "q"}, {"instruction": "q2"})
    found = part.judge(heldout, responses(["a", "b"]), responses(["c", "d", "e"]), desk(server, part))
    assert np.isnan(found.preference).tolist() == [True, False, True]
    assert found.columns["flags"] == [["empty_instruction"], [], ["missing_answer"]]
    assert found.columns["length_model"] == [1, 1, None]
    assert len(server.bodies) == 2


# Replies of no use.


def test_a_reply_without_a_verdict_is_asked_for_once_more_and_otherwise(judged):
    found = judged(lambda body: '{"verdict": "A=B"}' if body["temperature"] else "hm", ["a"], ["b"])
    assert found.preference.tolist() == [0.5]
    assert sorted(body["temperature"] for body in judged.server.bodies) == [0, 0, 0.3, 0.3]
    assert found.report["num_retries"] == 2
    assert found.columns["flags"] == [[]]


@pytest.mark.parametrize(
    "reply", ["C>A", "", "[[A]]", '{"verdict": "A>>>B"}', '{"verdict": "A>', ("A>B " * 9, "length")]
)
def test_what_is_no_verdict_is_never_a_tie(judged, reply):
    found = judged(lambda body: reply, ["a"], ["b"])
    assert np.isnan(found.preference).all()
    assert found.columns["flags"] == [["unparsable"]]
    assert found.columns["model_first"] == found.columns["baseline_first"] == [None]
    assert (found.report["num_unread_games"], found.report["share_unread_games"]) == (2, 1)
    assert len(judged.server.bodies) == 4
    assert "without a verdict" in judged.desk.logged[0]


def test_a_pair_with_one_verdict_is_dropped_unless_it_is_asked_for(judged):
    def reply(body):
        return '{"verdict": "A>B"}' if between(user_turn(body), "answer-A") == "mine" else "no idea"

    assert np.isnan(judged(reply, ["mine"], ["theirs"]).preference).all()
    assert judged(reply, ["mine"], ["theirs"], one_order="keep").preference.tolist() == [1]
    found = judged(reply, ["theirs"], ["mine"], one_order="keep")
    assert found.preference.tolist() == [0]
    assert found.columns["flags"] == [["unparsable"]]


def test_an_endless_reply_is_no_verdict_even_if_it_holds_one(judged):
    found = judged(lambda body: ("[[A>B]] and then again, if", "length"), ["a"], ["b"], rationale=True)
    assert found.columns["flags"] == [["unparsable"]]


def test_a_verdict_comes_behind_its_reasons(judged):
    def reply(body):
        return "<think>[[B>>A]]?</think>At first [[B>A]], but B is wrong.\n\n[[A>>b]]"

    found = judged(reply, ["a"], ["b"], rationale=True, max_answer_tokens=77)
    assert found.columns["model_first"] == ["A>>B"]
    assert {body["max_tokens"] for body in judged.server.bodies} == {77}
    assert not any("response_format" in body for body in judged.server.bodies)


def test_a_label_alone_is_constrained_where_the_endpoint_can_and_read_where_it_cannot(judged):
    judged(prefers("good"), ["good"], ["bad"])
    schema = judged.server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["verdict"]["enum"] == ["A>>B", "A>B", "A=B", "B>A", "B>>A"]

    def without(body):
        return (400, "response_format is not supported") if "response_format" in body else "**A>B**"

    found = judged(without, ["good"], ["bad"])
    assert found.columns["model_first"] == ["A>B"]


@pytest.mark.parametrize("failure", [(400, "I do not like this one"), (500, "assertion failed"), b'{"choices": [{'])
def test_a_request_that_the_server_always_fails_over_is_counted_and_asked_again_the_next_time(judged, failure):
    """Such a verdict is no tie, and such a failure no answer: it is not kept."""
    poison = [True]

    def reply(body):
        if user_turn(body) == "Say yes.":
            return "yes"
        return failure if poison and "poison" in user_turn(body) else prefers("good")(body)

    mine, theirs = ["good", "poison good", "good!"], ["bad", "bad", "bad"]
    found = judged(reply, mine, theirs)
    assert np.isnan(found.preference).tolist() == [False, True, False]
    assert found.columns["flags"] == [[], ["model_error"], []]
    assert found.report["flags"] == {"model_error": 1}
    assert judged.desk.client.counts()["num_refused"] == 2
    (line,) = judged.desk.logged
    assert line.startswith("1 pairs have a game that the judge's server refused or failed over")
    poison.clear()
    asked = len(judged.server.bodies)
    again = judged(None, mine, theirs, server=judged.server)
    assert again.preference.tolist() == [1, 1, 1]
    assert len(judged.server.bodies) == asked + 2
    assert "num_refused" not in judged.desk.client.counts()


@pytest.mark.parametrize("status", [400, 500, 503])
@pytest.mark.parametrize("count", [1, 40])
def test_a_server_that_answers_nothing_ends_the_judging(judged, status, count):
    rows = [{"instruction": f"question {at}"} for at in range(count)]
    with pytest.raises(EnvironmentProblem, match="no system role here"):
        judged(lambda body: (status, "no system role here"), ["a"] * count, ["b"] * count, rows=rows)


def test_a_server_that_answers_trifles_and_no_game_ends_the_judging_after_a_few(judged):
    def reply(body):
        return "yes" if user_turn(body) == "Say yes." else (500, "out of shared memory")

    rows = [{"instruction": f"question {at}"} for at in range(200)]
    with pytest.raises(EnvironmentProblem, match=r"has answered none of 16 requests: .*out of shared memory"):
        judged(reply, ["a"] * 200, ["b"] * 200, rows=rows)
    assert len(judged.server.bodies) < 2 * 200


def test_all_is_said_in_one_turn_to_a_model_without_a_system_role(judged):
    judged(lambda body: '{"verdict": "A=B"}', ["a"], ["b"], system_role=False)
    (turn,) = judged.server.bodies[0]["messages"]
    assert turn["role"] == "user"
    assert turn["content"].startswith("You compare two answers")


# Log-probabilities.


def tokens(**logprobs):
    """The first token's likeliest tokens, as an endpoint tells them."""
    listed = [{"token": token, "logprob": value, "bytes": None} for token, value in logprobs.items()]
    return {"content": [{"token": "x", "logprob": 0.0, "bytes": None, "top_logprobs": listed}]}


def by_length(body):
    """The longer an answer, the likelier its letter."""
    first, second = (len(between(user_turn(body), f"answer-{letter}")) for letter in "AB")
    return tokens(A=math.log(0.9 * first / (first + second)), B=math.log(0.9 * second / (first + second)))


def test_a_chance_comes_from_all_spellings_of_both_letters(judged):
    spelt = {"A": 0.2, " A": 0.1, "ĠA": 0.05, '"B': 0.1, "[[B": 0.05, "a": 0.3, "Both": 0.1}
    logprobs = tokens(**{token: math.log(share) for token, share in spelt.items()})
    found = judged(lambda body: "A", ["x"], ["y"], labels="logprobs", logprobs=logprobs)
    first = 0.35 / 0.5
    assert found.columns["model_first_chance"] == [pytest.approx(first)]
    assert found.columns["baseline_first_chance"] == [pytest.approx(first)]
    assert found.preference[0] == pytest.approx(0.5)
    assert found.report["position_bias"] == pytest.approx(first - 0.5)
    assert found.report["label_mass"] == pytest.approx(0.5)
    body = judged.server.bodies[0]
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)


def test_a_preference_is_the_mean_over_both_orders(judged):
    found = judged(lambda body: "A", ["xxx"], ["y"], labels="logprobs", logprobs=by_length)
    assert found.columns["model_first_chance"] == [pytest.approx(0.75)]
    assert found.columns["baseline_first_chance"] == [pytest.approx(0.25)]
    assert found.preference.tolist() == [pytest.approx(0.75)]
    assert found.report["consistency"] == 1


@pytest.mark.parametrize(
    ("logprobs", "flag"),
    [
        (tokens(a=-0.1, The=-2.0), "no_label_mass"),
        (tokens(A=-9999.0, B=-9999.0), "no_label_mass"),
        (tokens(A=float("nan"), B=-1.0), "non_finite"),
        (tokens(A=-1.0, B=float("-inf")), "non_finite"),
    ],
)
def test_log_probabilities_that_say_nothing_are_told(judged, logprobs, flag):
    found = judged(lambda body: "A", ["x"], ["y"], labels="logprobs", logprobs=logprobs)
    assert np.isnan(found.preference).all()
    assert found.columns["flags"] == [[flag]]
    assert found.report["num_unread_games"] == 2


def test_an_endpoint_without_log_probabilities_cannot_judge_by_them(judged):
    with pytest.raises(EnvironmentProblem, match="tells no log-probabilities; take labels=five-way"):
        judged(lambda body: "A", ["x"], ["y"], labels="logprobs")


# What does not fit.


def refusing(most, then):
    """A server whose context holds so many characters."""

    def reply(body):
        if sum(len(turn["content"]) for turn in body["messages"]) > most:
            return 400, "This model's maximum context length is 4096 tokens. However, you requested more."
        return then(body)

    return reply


def test_answers_that_do_not_fit_lose_their_middle_both_alike(judged):
    mine, theirs = "good " + "m" * 4000 + " end", "bad " + "t" * 3000 + " END"
    found = judged(refusing(6000, prefers("good")), [mine, "good"], [theirs, "bad"])
    assert found.preference.tolist() == [1, 1]
    assert found.columns["flags"] == [["judge_truncated"], []]
    assert found.columns["length_model"] == [4009, 4]
    heads, tails = set(), set()
    for text in largest_shown(judged.server, 6000):
        head, tail = text.replace("\n", "").split("[... ")[0], text.split("here ...]\n")[1]
        assert 0 <= len(head) - len(tail) <= 1
        assert head.startswith(("good ", "bad "))
        assert tail.endswith((" end", " END"))
        heads.add(len(head))
        tails.add(len(tail))
    # Nothing tells how many tokens there are, so that the length is found by asking, within an eighth.
    (kept,) = [head + tail for head in heads for tail in tails]
    assert most_shown(judged, mine, theirs, 6000) * 7 / 8 <= kept <= most_shown(judged, mine, theirs, 6000)
    assert found.report["num_calls"] <= 4 + 2 * 6
    assert judged.desk.logged == ["1 pairs were judged on answers with the middle cut out"]


def largest_shown(server, most):
    """Both answers of the longest request about the long pair that a server took."""
    sizes = {
        sum(len(turn["content"]) for turn in body["messages"]): body
        for body in server.bodies
        if "mmm" in user_turn(body) and not body["path"].endswith("/tokenize")
    }
    body = sizes[max(size for size in sizes if size <= most)]
    return [between(user_turn(body), f"answer-{letter}") for letter in "AB"]


def most_shown(judged, mine, theirs, most):
    """By trying every length: so many characters of each answer fit."""
    part = Pairwise(model=MODEL)
    asking = part._court(judged.desk).asking
    games = Games(pair=Pair(at=0, question="question 0", model=mine, baseline=theirs), asking=asking)

    def size(limit):
        return max(sum(len(turn.content) for turn in each.messages) for each in games.requests(limit))

    return next(limit for limit in range(len(mine), 0, -1) if size(limit) <= most)


def counting(serve, window, then, *, told, tokenizes=False, per_token=lambda letter: 0.25):
    """A server whose context holds so many tokens; `told` makes the words in which it refuses of prompt and answer."""

    def tokens(body):
        return 1 + int(sum(per_token(letter) for turn in body["messages"] for letter in turn["content"]))

    def reply(body):
        count = tokens(body)
        if body["path"].endswith("/tokenize"):
            if not tokenizes:
                return 404, "no such place"
            return json.dumps({"count": count, "max_model_len": window, "tokens": [0] * count}).encode()
        if count + body["max_tokens"] > window:
            return 400, told(count, body["max_tokens"], window)
        return then(body)

    server = serve(reply)
    server.num_read = tokens
    return server


def old_vllm(count, answer, window):
    return (
        f"This model's maximum context length is {window} tokens. However, you requested {count + answer} tokens "
        f"({count} in the messages, {answer} in the completion). Please reduce the length of the messages."
    )


def new_vllm(count, answer, window):
    """It stops counting where it is too much."""
    return (
        f"This model's maximum context length is {window} tokens. However, your prompt contains at least "
        f"{window - answer + 1} input tokens, which exceeds this limit even without any output tokens."
    )


def llama_cpp(count, answer, window):
    return f"request ({count} tokens) exceeds the available context size ({window} tokens), try increasing it"


@pytest.mark.parametrize(("told", "tokenizes"), [(old_vllm, False), (llama_cpp, False), (new_vllm, True)])
@pytest.mark.parametrize("uneven", [False, True])
def test_where_tokens_are_counted_nearly_the_most_that_fits_is_shown_after_a_few_requests(
    judged, serve, told, tokenizes, uneven
):
    """Also where the middle that is left out has four times the tokens of the rest."""
    mine, theirs = "good " + "m" * 9000 + "漢" * 4000 * uneven + "m" * 9000 + " end", "bad " + "t" * 3000 + " END"
    window = 4000

    def per_token(letter):
        return 1 if letter == "漢" else 0.25

    server = counting(serve, window, prefers("good"), told=told, tokenizes=tokenizes, per_token=per_token)
    found = judged(None, [mine, "good"], [theirs, "bad"], server=server)
    assert found.preference.tolist() == [1, 1]
    assert found.columns["flags"] == [["judge_truncated"], []]
    games = [body for body in server.bodies if "mmm" in user_turn(body) and "max_tokens" in body]
    asked = [server.num_read(body) + body["max_tokens"] for body in games]
    assert 0.95 * window <= max(each for each in asked if each <= window)
    # The whole in both orders, and what was judged; little in between.
    if tokenizes:
        assert len(games) == 4
        assert len(server.bodies) - len(games) - 2 <= 8
    else:
        assert len(games) <= (10 if uneven else 6)


@pytest.mark.parametrize(("told", "tokenizes"), [(old_vllm, False), (new_vllm, True), (new_vllm, False)])
def test_long_pairs_that_were_judged_are_judged_the_same_with_the_server_down(judged, serve, told, tokenizes):
    mine = ["good " + "m" * 18_000 + " end", "good", "good " * 50]
    theirs = ["bad " + "t" * 3000 + " END", "bad " * 6000, "bad"]
    server = counting(serve, 4000, prefers("good"), told=told, tokenizes=tokenizes)
    first = judged(None, mine, theirs, server=server)
    assert first.columns["flags"] == [["judge_truncated"], ["judge_truncated"], []]
    server.stop()
    again = judged(None, mine, theirs, server=server)
    assert again.preference.tolist() == first.preference.tolist() == [1, 1, 1]
    assert (again.columns, again.report) == (first.columns, first.report)


def test_pairs_that_fit_are_asked_in_the_words_that_they_were_always_asked_in(judged, serve):
    """Beside one that does not fit: what was judged before is not judged again."""
    server = counting(serve, 2000, prefers("good"), told=old_vllm)
    judged(None, ["good"], ["bad"], server=server)
    before = [body["messages"] for body in server.bodies]
    found = judged(None, ["good", "m" * 9000], ["bad", "t" * 9000], server=server)
    assert found.columns["flags"] == [[], ["judge_truncated"]]
    assert [body["messages"] for body in server.bodies if body["messages"] in before] == before


def test_time_in_which_the_server_starts_is_not_the_judges(judged, monkeypatch, desk, pool, serve):
    """Sixty seconds of starting, and a bound of one."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    server, part = serve(prefers("good")), Pairwise(model=MODEL, max_seconds=1.0)
    given = desk(server, part)
    endpoint = given.client.endpoint

    class Starting:
        model, identity, server, num_at_once = endpoint.model, endpoint.identity, None, 4

        def reach(self):
            now[0] += 60.0
            return endpoint

        def reach_again(self, lost, *, silent, forgiven):
            return None

    given.client = replace(given.client, endpoint=Starting())
    rows = [{"instruction": f"q{at}"} for at in range(20)]
    found = part.judge(pool(*rows), responses(["good"] * 20), responses(["bad"] * 20), given)
    assert given.client.seconds_starting == 60
    assert found.preference.tolist() == [1] * 20
    assert "over_budget" not in found.report["flags"]


def test_a_question_that_does_not_fit_is_no_item(judged):
    rows = [{"instruction": "why " * 3000}, {"instruction": "q"}]
    found = judged(refusing(6000, prefers("good")), ["good " * 100, "good"], ["bad " * 100, "bad"], rows=rows)
    assert np.isnan(found.preference).tolist() == [True, False]
    assert found.columns["flags"] == [["question_too_long"], []]


def test_what_is_shown_of_an_answer_can_be_bounded(judged):
    found = judged(prefers("good"), ["good" + "x" * 1000], ["bad"], max_shown=300)
    assert found.columns["flags"] == [["judge_truncated"]]
    assert max(len(user_turn(body)) for body in judged.server.bodies) < 1200


# Bounds, and what is kept.


def test_what_was_judged_is_not_judged_again(judged):
    mine, theirs = ["good", "bad", "x"], ["bad", "good", "y"]
    first = judged(prefers("good"), mine, theirs)
    server = judged.server
    again = judged(None, [*mine, "good"], [*theirs, "new"], server=server)
    assert again.preference.tolist() == [*first.preference, 1]
    assert len(server.bodies) == 8
    judged(None, mine, theirs, server=server, seed=1)
    assert len(server.bodies) == 14


def test_a_spent_bound_leaves_the_rest_unjudged_and_a_larger_one_goes_on(judged):
    """Every game takes ten tokens: two of twenty pairs cost forty."""
    rows = [{"instruction": f"q{at}"} for at in range(40)]
    mine, theirs = [f"good {at}" for at in range(40)], [f"bad {at}" for at in range(40)]
    found = judged(prefers("good"), mine, theirs, rows=rows, max_tokens=300)
    assert np.isfinite(found.preference).sum() == 15
    assert found.columns["flags"][15:] == [["over_budget"]] * 25
    assert (found.report["num_tokens"], found.report["flags"]) == (300, {"over_budget": 25})
    assert "25 pairs have no verdict because max_seconds or max_tokens was spent" in judged.desk.logged[0]
    server = judged.server
    assert len(server.bodies) == 30
    again = judged(None, mine, theirs, rows=rows, max_tokens=500, server=server)
    assert np.isfinite(again.preference).sum() == 25
    assert len(server.bodies) == 50


def test_time_is_a_bound_too():
    now = 100.0
    purse = Purse(max_seconds=10.0, max_tokens=None, clock=lambda: now)
    assert purse.next_items(500) == 8
    purse.num_items, now = 8, 102.0
    # A quarter of a second each, and eight seconds left.
    assert purse.next_items(500) == 32
    assert purse.next_items(5) == 5
    now = 109.9
    assert purse.next_items(500) == 0
    assert Purse(max_seconds=None, max_tokens=None).next_items(500) == 500


def test_a_bound_that_is_spent_before_anything_is_asked(judged):
    found = judged(prefers("good"), ["good"], ["bad"], max_seconds=1e-9)
    assert found.columns["flags"] == [["over_budget"]]
    assert judged.server.bodies == []


def test_an_endpoint_that_counts_no_tokens_is_taken_by_characters(serve, pool, desk):
    server, part = serve(prefers("good")), Pairwise(model=MODEL, max_tokens=10**9)
    server.counts_tokens = False
    found = part.judge(pool({"instruction": "q"}), responses(["good"]), responses(["bad"]), desk(server, part))
    asked = sum(len(turn["content"]) for body in server.bodies for turn in body["messages"])
    assert found.report["num_tokens"] == pytest.approx(asked / 4, rel=0.05)


# What goes with the verdicts.


def test_verdicts_make_a_file_that_scores_are_computed_from(judged, tmp_path):
    mine = ["# t\n- a\n- **b**\n```\n# no\n```", "good", "same", "x"]
    for parameters in ({}, {"labels": "logprobs"}):
        found = judged(prefers("good"), mine, ["bad", "so", "same", "y"], logprobs=by_length, **parameters)
        path = tmp_path / "verdicts.jsonl"
        lines = verdict_lines(found, model="m", baseline="b")
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        read = read_verdicts(path).by_model["m"]
        assert [each.preference for each in read] == found.preference.tolist()
        # Without the preference it follows from the games alone.
        path.write_text("".join(json.dumps({**line, "preference": None}) + "\n" for line in lines))
        assert [each.preference for each in read_verdicts(path).by_model["m"]] == found.preference.tolist()
        assert read[0].length_model == len(mine[0])
        assert (read[0].style_model.headers, read[0].style_model.lists, read[0].style_model.bolds) == (1, 2, 1)
        assert read[1].tokens == (1, 1)


def test_reasoning_before_an_answer_is_neither_shown_nor_measured(judged):
    found = judged(prefers("good"), ["<think>\nbad bad\n</think>\n\ngood"], ["bad"])
    assert found.preference.tolist() == [1]
    assert found.columns["length_model"] == [4]
    assert not any("bad bad" in user_turn(body) for body in judged.server.bodies)
    assert judged(prefers("good"), ["<think>never came to"], ["good"]).columns["flags"] == [["empty_response"]]


def test_a_reference_is_shown_where_it_is_asked_for(judged):
    rows = [{"instruction": "q", "output": "the right one"}]
    judged(prefers("good"), ["good"], ["bad"], rows=rows)
    assert "the right one" not in user_turn(judged.server.bodies[0])
    judged(prefers("good"), ["good"], ["bad"], rows=rows, reference=True)
    assert between(user_turn(judged.server.bodies[0]), "reference") == "the right one"


def test_a_dialogue_is_shown_without_its_references_in_the_question(serve, pool, desk):
    said = zip(("user", "assistant") * 2, ("first?", "four", "and then?", "five"), strict=True)
    heldout = pool({"messages": [{"role": role, "content": text} for role, text in said], "_open_turns": 2})
    mine, theirs = (Responses(ids=("0",), texts=(text,), earlier={"0": ("so",)}) for text in ("good", "bad"))
    for reference in (False, True):
        server, part = serve(prefers("good")), Pairwise(model=MODEL, reference=reference)
        assert part.judge(heldout, mine, theirs, desk(server, part)).preference.tolist() == [1]
        user = user_turn(server.bodies[0])
        assert between(user, "question") == "(turn 1)\nfirst?\n\n(turn 2)\nand then?"
        assert ("four" in user) is reference
    assert between(user, "reference") == "(turn 1)\nfour\n\n(turn 2)\nfive"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_answer_tokens": 0}, "max_answer_tokens=0"),
        ({"max_seconds": 0.0}, "max_seconds=0"),
        ({"temperature": -1.0}, "temperature=-1"),
        ({"labels": "logprobs", "rationale": True}, "no room for a rationale"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        Pairwise(**parameters)


@pytest.mark.parametrize("model", ["gpt-4", "vllm:", "http://x/v1", "ftp://x#m"])
def test_a_judge_that_is_no_endpoint_is_refused(model):
    with pytest.raises(UsageError, match="cannot read the endpoint"):
        Pairwise(model=model)


def test_a_key_in_the_url_is_refused_and_not_shown():
    with pytest.raises(UsageError) as problem:
        Pairwise(model="https://me:secret@x/v1#m")
    assert "secret" not in str(problem.value)
