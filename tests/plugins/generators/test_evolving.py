"""Rules that make instructions harder: whatever they ask, the response does."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftbench import Message, Row
from sftbench_plugins.generators.evolving import OPERATORS, Evolved, evolved
from sftbench_plugins.generators.parents import parent_of

WORDS = ("people", "house", "water", "number", "world")
ANSWERS = (
    "fox",
    "4",
    "The leaves are green. They fall in October!",
    "One, two, three, four and five people live in the house by the water, where 7 trees grow.",
    'She said "no" and went away',
    "x" * 5,
    "Dr. Smith earned 3.5 million. He left.",
    "Why (not)? Take people, 3 of them, to the house; more water! More [of it].",
)


def meets(asked: str, answer: str) -> bool:
    """A reader of its own for every sentence that a rule adds; True for a text without any."""
    words = answer.split()
    checks = {
        r"Use at most (\d+) words": lambda n: len(words) <= int(n),
        r"Use at least (\d+) words": lambda n: len(words) >= int(n),
        r"Answer in exactly (\w+) sentences?": lambda n: (
            len(re.findall(r"[.!?]", answer)) == ("one", "two", "three", "four", "five").index(n) + 1
        ),
        r'Do not use the word "(\w+)"': lambda w: w not in re.findall(r"\w+", answer.lower()),
        r"Do not use (commas)": lambda _: "," not in answer,
        r"Do not use (digits)": lambda _: not re.search(r"\d", answer),
        r"Do not use (exclamation) marks": lambda _: "!" not in answer,
        r"Do not use (question) marks": lambda _: "?" not in answer,
        r"Do not use (brackets)": lambda _: not re.search(r"[][(){}]", answer),
        r"Write the answer in (capital) letters": lambda _: answer == answer.upper(),
        r"Put the answer in (double) quotes": lambda _: answer[0] == answer[-1] == '"' and answer.count('"') == 2,
        r'Begin the answer with "(Answer:)"': lambda w: answer.startswith(w),
        r'End the answer with the word "(Done)"': lambda w: answer.split()[-1] == w,
    }
    return all(check(found) for pattern, check in checks.items() for found in re.findall(pattern, asked))


def row(answer, question="Say it.", row_id="b"):
    return parent_of(
        Row(id=row_id, messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))
    )


@settings(max_examples=400)
@given(st.sampled_from(ANSWERS), st.lists(st.sampled_from(OPERATORS), max_size=6), st.integers(0, 10**6))
def test_a_response_meets_all_that_is_asked_for(answer, operators, seed):
    rng, other = random.Random(seed), row("The second answer.", "Say more.")
    now = Evolved(question="Tell me about it", answer=answer)
    outer = ""
    for operator in operators:
        before = now.question
        step = evolved(now, operator, rng, other=other, words=WORDS)
        if step is None:
            continue
        now, rule = step
        assert before in now.question
        assert now.question != before
        outer = "" if rule == "join" else now.question
        assert meets(outer.partition("Do both")[0] if "Do both" in outer else outer, now.answer)
        first = re.search(r"1\. (.*)\n2\. The second answer\.", now.answer, re.DOTALL)
        if first and "Do both" in now.question:
            inner = re.search(r"1\. (.*)\n2\. Say more\.", now.question, re.DOTALL)
            assert meets(inner[1], first[1]) or "capital" in outer or '"' in outer


@pytest.mark.parametrize("operator", OPERATORS)
def test_no_rule_is_taken_twice_and_they_come_to_an_end(operator):
    now = Evolved(question="Tell me.", answer="The leaves are green and they fall in October of each year, they say.")
    rules = []
    for _ in range(40):
        step = evolved(now, operator, random.Random(len(rules)), other=row("Yes."), words=WORDS)
        if step is None:
            break
        now, rule = step
        rules.append(rule)
    assert len(rules) == len(set(rules)) < 40
    assert rules


def test_a_planted_defect_is_found_again_where_the_response_has_moved():
    other = parent_of(
        Row(
            id="b",
            messages=(Message(role="user", content="Say."), Message(role="assistant", content="right wrong")),
            planted="wrong_answer",
            planted_spans=((6, 11),),
        )
    )
    now = Evolved(question="Tell me.", answer="a bad word", planted_spans=((2, 5),))
    joined, _ = evolved(now, "join", random.Random(0), other=other, words=())
    assert [joined.answer[start:end] for start, end in joined.planted_spans] == ["bad", "wrong"]
    for seed in range(8):
        shaped, rule = evolved(now, "format", random.Random(seed), other=None, words=())
        ((start, end),) = shaped.planted_spans
        assert shaped.answer[start:end].lower() == "bad", rule


def test_a_constraint_stands_before_data_that_ends_an_instruction():
    asked = "Reverse these words: fox cow"
    made, _ = evolved(Evolved(question=asked, answer="cow fox"), "constraint", random.Random(0), other=None, words=())
    assert made.question.endswith(asked)
    assert made.answer == "cow fox"
