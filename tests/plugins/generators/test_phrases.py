"""Key phrases that begin instructions."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.phrases import key_phrases, pool_words


@pytest.fixture
def parents(make_pool):
    def make(*questions):
        rows = [{"instruction": each, "input": "", "output": "Yes indeed."} for each in questions]
        return Parents.of(make_pool(rows), np.arange(len(rows)), "last")

    return make


def test_phrases_of_more_rows_and_more_words_come_first(parents):
    filler = [f"Say something about item{at} quickly please" for at in range(40)]
    found = key_phrases(
        parents(
            "Describe the red fox and its den now", "Explain how a red fox hunts at night",
            "Write about the silver moon for children", *filler,
        ),
        max_phrases=5,
    )  # fmt: skip
    assert found[0].text == "red fox"
    assert found[0].parents.tolist() == [0, 1]
    assert "silver" not in [each.text for each in found], "it stands in one row only"


def test_verbs_of_orders_and_what_stands_everywhere_are_no_topics(parents):
    questions = [f"Write a story about the dragon in cave{at} for me" for at in range(30)]
    questions += ["Write about the quiet lake in autumn", "Describe the quiet lake at night"]
    found = [each.text for each in key_phrases(parents(*questions), max_phrases=50)]
    assert "write" not in " ".join(found)
    assert found[0] == "quiet lake"
    assert "dragon" not in found, "a phrase in nearly all rows is a manner of speaking"


def test_an_opening_ends_with_the_phrase_and_leaves_something_to_say(parents):
    (found,) = [
        each
        for each in key_phrases(parents("What do red foxes eat in winter?", "Name red foxes"), max_phrases=9)
        if each.text == "red foxes"
    ]
    assert found.opening("What do Red Foxes eat in winter?") == "What do Red Foxes"
    assert found.opening("Name red foxes") is None
    assert found.opening("Predefoxes") is None
    assert found.parents.tolist() == [0]


def test_no_more_phrases_than_wanted(parents):
    assert (
        len(key_phrases(parents("One tall green alder stands alone here", "Two old oaks fall down now"), max_phrases=2))
        == 2
    )


def test_usual_words_come_from_responses(make_pool):
    rows = [{"instruction": "x", "output": "The gardener waters flowers"}] * 3 + [
        {"instruction": "x", "output": "rare"}
    ]
    pool = make_pool([{"id": str(at), **row} for at, row in enumerate(rows)])
    assert pool_words(pool, most=3) == ["flowers", "gardener", "waters"]
