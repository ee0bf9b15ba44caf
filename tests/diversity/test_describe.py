"""All metrics together: what every value comes with, and what becomes of bad rows."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sftbench.diversity.corpus import Words, corpus_of, taken
from sftbench.diversity.describe import MeasuresWanted, Side, describe
from sftbench.diversity.entropy import TypeCounts

VOCABULARY = [f"word{number}" for number in range(600)]


def texts_of(num, seed=0):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(VOCABULARY, draw.integers(5, 25))) for _ in range(num)]


def side_of(texts, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(len(texts), 8)).astype(np.float32)
    return Side(corpus=corpus_of(texts, tokenize=Words()), vectors=vectors)


def described(texts, **options):
    side = side_of(texts)
    return {each.metric: each for each in describe(side, pool=TypeCounts.of(side.corpus.tokens), **options)}


@pytest.fixture(scope="module")
def found():
    return described(texts_of(60), real=side_of(texts_of(40, seed=1), seed=1))


def test_every_metric_is_there_with_all_that_belongs_to_it(found):
    for name in (
        "length", "distinct-1", "distinct-5", "distinct-2-words", "distinct-2-at-budget", "distinct-2-words-at-budget",
        "entropy", "entropy-corrected", "entropy-at-budget", "entropy-mid-band", "self-bleu", "self-bleu-500",
        "compression-ratio", "compression-ratio-long-window", "embedding-distance", "kl-unigram", "kl-bigram",
        "kl-neighbours",
    ):  # fmt: skip
        each = found[name]
        assert math.isfinite(each.value), name
        assert each.ci_lo <= each.value <= each.ci_hi, name
        assert each.unit
        assert each.tokens > 0
        assert each.n > 0
        arrows = {"self": "down", "comp": "down", "kl-u": "shift", "kl-b": "shift", "kl-n": "shift"}
        assert each.direction == arrows.get(name[:4], "up")


def test_it_is_plain_json_and_the_same_again(found):
    again = described(texts_of(60), real=side_of(texts_of(40, seed=1), seed=1))
    assert again == found
    assert json.loads(json.dumps([each.plain() for each in found.values()], allow_nan=False))


def test_length_is_the_mean_of_tokens_and_an_empty_text_has_none():
    found = described(["a b c", "d", "", " \n"])
    assert found["length"].value == 1
    assert found["length"].n == 4
    assert (found["empty-share"].value, found["empty-share"].note) == (0.5, "empty_component: 2")
    assert found["embedding-distance"].n == found["self-bleu"].n == 2


def test_the_share_of_texts_that_stood_before_is_told():
    found = described(["a b", "c d", "a b", "a b", ""])["duplicate-share"]
    assert (found.value, found.n) == (0.5, 4)
    assert 0 <= found.plain()["ci_lo"] < 0.5 < found.plain()["ci_hi"] <= 1


def test_a_budget_is_kept_by_tokens_and_by_words():
    found = described(texts_of(50), wanted=MeasuresWanted(token_budget=100))
    assert {each.tokens for name, each in found.items() if name.endswith("at-budget")} == {100}


@pytest.mark.parametrize("texts", [[], ["", ""], ["one text"]])
def test_next_to_nothing_is_described_with_reasons_and_no_crash(texts):
    side = side_of(texts)
    found = describe(side, pool=TypeCounts.of(side.corpus.tokens), real=side_of(texts_of(8)))
    assert all(math.isfinite(each.value) or each.note for each in found)
    assert json.dumps([each.plain() for each in found], allow_nan=False)


def test_rows_are_taken_from_a_corpus_in_the_order_asked_for(ragged):
    found = taken(ragged([[1, 2], [], [3], [4, 5, 6]]), np.array([3, 0, 1]))
    assert [each.tolist() for each in found] == [[4, 5, 6], [1, 2], []]
