"""The answer closer to the reference wins; what cannot be compared is no tie."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench.engines.embed import embed_texts
from sftbench_plugins.judges.reference import Reference

from .conftest import responses


class Embedding:
    """A desk that embeds by letters: a vector of how often each stands in a text, brought to unit length."""

    def __init__(self):
        self.texts = []

    def embed(self, texts):
        self.texts += texts
        counts = np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


ROWS = [{"instruction": "q", "output": text} for text in ("aab", "aab", "aab", "aab", "", "aab")]


def test_the_closer_answer_wins_on_either_side(pool):
    heldout = pool(*ROWS)
    mine, theirs = ["aab", "ab", "c", "", "a", "ab"], ["b", "c", "b", "h", "b", "abab"]
    for margin, expected in ((0.0, [1, 1, 0, 0, np.nan, 0.5]), (2.5, [0.5, 0.5, 0.5, 0.5, np.nan, 0.5])):
        judge = Reference(margin=margin)
        found = judge.judge(heldout, responses(mine), responses(theirs), Embedding())
        np.testing.assert_array_equal(found.preference, expected)
        back = judge.judge(heldout, responses(theirs), responses(mine), Embedding())
        np.testing.assert_array_equal(back.preference, 1 - np.array(expected))
    assert found.columns["flags"] == [[], [], [], ["empty_response"], ["no_reference"], []]
    assert found.report["num_judged"] == 5
    # cos(ab, aab) = 3 / sqrt(10); the empty answer counts as -1.
    near = [1, 3 / np.sqrt(10), 0, -1, 3 / np.sqrt(10)]
    assert found.report["mean_closeness_model"] == pytest.approx(np.mean([1, near[1], 0, -1, near[1]]))


def test_a_missing_answer_has_no_verdict_and_every_text_is_embedded_once(pool):
    desk = Embedding()
    found = Reference().judge(pool(*ROWS[:2]), responses(["aab"]), responses(["b", "b"]), desk)
    np.testing.assert_array_equal(found.preference, [1, np.nan])
    assert found.columns["flags"][1] == ["missing_answer"]
    assert sorted(desk.texts) == ["aab", "b"]


def test_a_margin_below_zero_is_refused():
    with pytest.raises(ValueError, match="margin"):
        Reference(margin=-0.1)


def test_with_the_packaged_encoder_a_paraphrase_beats_another_subject(pool):
    class Real:
        def embed(self, texts):
            return embed_texts(texts)

    heldout = pool({"instruction": "q", "output": "The cat sat on the mat."})
    found = Reference().judge(heldout, responses(["A cat was sitting on a rug."]), responses(["Stocks fell."]), Real())
    assert found.preference.tolist() == [1]
