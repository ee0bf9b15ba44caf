"""Copies, near copies, paraphrases and unrelated rows, planted in a pool: how much of each is found, and what else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sftbench.contamination import COSINES
from sftbench.contamination.nearest import close_rows, in_blocks
from sftbench.contamination.runs import ItemsWanted
from sftbench.rooms import Message, Row

WORDS = [
    "river", "engine", "garden", "letter", "market", "window", "teacher", "planet", "bottle", "copper", "winter",
    "forest", "signal", "harbor", "mirror", "moves", "paints", "counts", "repairs", "follows", "explains", "borrows",
    "measures", "lifts", "sorts", "records", "protects",
]  # fmt: skip
PARAPHRASES = [
    ("What is the capital city of Australia?", "Which city is Australia's capital?"),
    ("Explain how photosynthesis works.", "Describe the process of photosynthesis."),
    ("How can I improve my time management skills?", "Suggest some tips for effective time management."),
    ("What causes the seasons on Earth?", "Why does the Earth have seasons?"),
    ("Write a short poem about the ocean at night.", "Compose a brief poem about the sea at night."),
    ("What are the most effective ways to deal with stress?", "Name a few techniques to reduce stress."),
    ("Who painted the Mona Lisa?", "Name the artist who painted the Mona Lisa."),
    ("Convert 100 degrees Fahrenheit to Celsius.", "What is 100 degrees Fahrenheit in Celsius?"),
    ("How do vaccines protect people from disease?", "Explain the way in which vaccines prevent disease in people."),
    ("What is the largest ocean in the world?", "Name the biggest ocean in the world."),
    ("Why is the sky blue?", "Why does the sky appear blue?"),
    ("List three benefits of regular exercise.", "Give three advantages of exercising regularly."),
]
UNRELATED = [
    "Sort the numbers 4, 9 and 2 in descending order.", "Translate 'good morning' into French.",
    "Suggest a name for a bakery.", "What is the boiling point of water?", "Write a haiku about autumn leaves.",
    "Correct the grammar: she go to school.", "How do I change a flat tire?", "Who wrote Pride and Prejudice?",
    "Give me a recipe for pancakes.", "Summarise the plot of Hamlet.", "What is the square root of 144?",
    "Name a mammal that lays eggs.", "Explain what inflation is.", "How far away is the moon?",
]  # fmt: skip


def row(name, asked, answer="fine"):
    return Row(id=name, messages=(Message(role="user", content=asked), Message(role="assistant", content=answer)))


def sentence(rng, num_words):
    return " ".join(rng.choice(WORDS) + rng.choice(["", "", ",", "."]) for _ in range(num_words))


def hit_items(items, rows):
    found = ItemsWanted(items).find(rows)
    return {items[item].id for item in found.items}


@pytest.fixture(scope="module")
def planted():
    """Forty items; rows that copy ten of them, that change every eighth word of ten, every twentieth of ten, none of
    ten; and two thousand rows of the same few words."""
    rng = random.Random(0)
    items = [row(f"i{n}", sentence(rng, 60)) for n in range(40)]
    rows = [row(f"u{n}", sentence(rng, 60), sentence(rng, 40)) for n in range(2000)]
    for n, item in enumerate(items[:30]):
        words = item.messages[0].content.split(" ")
        every = {0: 0, 1: 8, 2: 20}[n // 10]
        changed = [f"x{at}" if every and at % every == every - 1 else word for at, word in enumerate(words)]
        rows.append(row(f"c{n}", f"Please answer. {' '.join(changed).upper()} Thanks!", "ok"))
    return items, rows


def test_copies_and_near_copies_are_found_by_words_and_nothing_else(planted):
    """A change every twenty words leaves runs of nineteen, one every eight none of thirteen."""
    items, rows = planted
    assert hit_items(items, rows) == {f"i{n}" for n in (*range(10), *range(20, 30))}


def test_unrelated_rows_raise_no_alarm(planted):
    items, rows = planted
    assert hit_items(items, rows[:2000]) == set()


@pytest.mark.slow
def test_paraphrases_are_found_by_embeddings():
    """Two thirds and more of these at the measured threshold, and no false alarm among all other pairs."""
    from sftbench.engines.embed import embed_texts

    asked = embed_texts([one for one, _ in PARAPHRASES])
    pool = embed_texts([*(other for _, other in PARAPHRASES), *UNRELATED])
    close = close_rows(asked, in_blocks(pool, 5), threshold=COSINES["minilm"])
    assert np.array_equal(close.items, close.rows), "a false alarm"
    assert len(close.items) >= 8
