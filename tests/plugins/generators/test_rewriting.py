"""Rewritings by rules: nothing that is asked, and no data, is lost."""

from __future__ import annotations

import random
import re

import pytest

from sftbench_plugins.generators.rewriting import kind_of, rewritings

QUESTIONS = (
    "Reverse these words: fox cow hen",
    "What is 3 plus 4? Show your steps.",
    "Here are some words: fox cow. Can you sort them?",
    "Write a poem about Paris.",
    "Tell me everything about Aldo.",
    "Aldo has fox and Bela has cow. What does Aldo have?",
    "What comes next: 1 2 3 4",
    "NASA was founded when?",
    "Translate: I am here.",
    "Summarize the text below\n\nIt was a cold day: snow fell.",
    "x",
)
KEPT = {"fox", "cow", "hen", "3", "4", "poem", "Paris", "Aldo", "Bela", "everything", "1 2 3 4", "NASA", "I am here."}


def made(question, seed=0):
    return list(rewritings(question, random.Random(seed)))


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_rewriting_is_another_text_and_comes_once(question):
    texts = [each.text for each in made(question)]
    assert len(set(texts)) == len(texts) >= 11
    assert question not in texts


@pytest.mark.parametrize("question", QUESTIONS)
def test_names_numbers_and_data_stay_as_they_are(question):
    for each in made(question):
        for word in (word for word in KEPT if word in question):
            assert word in each.text
        # Nothing follows data that stands last: it would be taken for a part of it.
        if re.search(r": [^.?!]+$", question) and "data first" not in each.rules:
            assert each.text.endswith(question.rpartition(": ")[2])
        assert "\n" not in question or each.text.endswith(question.partition("\n")[2])


def test_rewritings_read_like_sentences():
    texts = [each.text for each in made("Sort these words from a to z: fox cow")]
    assert "Please sort these words from a to z: fox cow" in texts
    assert "Given this: fox cow. Sort these words from a to z." in texts
    assert "Arrange these words from a to z: fox cow" not in texts, "the first word rule that fits is taken"
    assert "Sort the following words from a to z: fox cow" in texts
    texts = [each.text for each in made("What is the opposite of hot?")]
    assert "I would like to know: what is the opposite of hot?" in texts
    assert "What's the opposite of hot?" in texts
    assert "What is the opposite of hot? Thank you." in texts


def test_the_draw_decides_the_order_and_nothing_else():
    first, again, other = (made("Name a tree.", seed) for seed in (1, 1, 2))
    assert first == again != other
    assert {each.text for each in first} == {each.text for each in other}


@pytest.mark.parametrize(
    ("text", "kind"), [("Write this", "order"), ("what now", "question"), ("The list:", "other"), ("", "other")]
)
def test_the_first_word_tells_the_kind(text, kind):
    assert kind_of(text) == kind
