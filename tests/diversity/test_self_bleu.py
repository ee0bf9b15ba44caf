"""Self-BLEU in linear time against BLEU-4 written out pair by pair."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from sftbench.diversity.self_bleu import EPSILON, bleu, self_bleu


def counted(text, n):
    return Counter(tuple(text[at : at + n]) for at in range(len(text) - n + 1))


def plain_bleu(hypothesis, references):
    """BLEU-4 as Papineni et al. define it, with epsilon for an order without a match."""
    logs = []
    for n in (1, 2, 3, 4):
        mine, theirs = counted(hypothesis, n), [counted(each, n) for each in references]
        matches = sum(min(count, max(each[gram] for each in theirs)) for gram, count in mine.items())
        logs.append(math.log((matches or EPSILON) / max(1, sum(mine.values()))))
    nearest = min((abs(len(each) - len(hypothesis)), len(each)) for each in references)[1]
    brevity = 1.0 if len(hypothesis) >= nearest else math.exp(1 - nearest / len(hypothesis))
    return brevity * math.exp(sum(logs) / 4)


def random_texts(num, *, num_symbols=10, seed=0, longest=25):
    draw = np.random.default_rng(seed)
    return [draw.integers(0, num_symbols, draw.integers(1, longest)).tolist() for _ in range(num)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tokens_at_once", [10**6, 50])
def test_it_equals_brute_force_on_random_strings(ragged, seed, tokens_at_once):
    texts = random_texts(60, seed=seed)
    wanted = [plain_bleu(text, texts[:at] + texts[at + 1 :]) for at, text in enumerate(texts)]
    found = bleu(ragged(texts), np.ones(60, dtype=bool), tokens_at_once=tokens_at_once)
    assert np.abs(found - wanted).max() < 1e-13


@pytest.mark.parametrize("seed", range(3))
def test_a_text_that_is_no_reference_is_held_against_all_that_are(ragged, seed):
    texts = random_texts(40, seed=seed)
    is_reference = np.arange(40) < 15
    found = bleu(ragged(texts), is_reference)
    for at in range(40):
        others = [text for index, text in enumerate(texts) if index < 15 and index != at]
        assert found[at] == pytest.approx(plain_bleu(texts[at], others), abs=1e-13)


def test_the_lengths_of_references_decide_the_penalty_the_shorter_of_two_equally_near(ragged):
    texts = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]]
    found = bleu(ragged(texts), np.array([True, False, True]))
    assert found[1] == pytest.approx(plain_bleu(texts[1], [texts[0], texts[2]]))


def test_copies_give_one_and_texts_with_nothing_in_common_nothing(ragged):
    def value(texts):
        return self_bleu(ragged(texts), seed=0)[0].value

    assert value([[1, 2, 3, 4, 5]] * 4) == pytest.approx(1)
    assert value([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]) < 1e-8


def test_five_hundred_references_do_not_saturate_as_all_do(ragged, zipfian):
    small, large = (
        self_bleu(ragged(zipfian(rows, num_types=80, mean_length=15, seed=1)), seed=0) for rows in (1500, 4500)
    )
    assert [each.metric for each in large] == ["self-bleu", "self-bleu-500"]
    assert large[0].value > 1.1 * small[0].value
    assert large[1].value == pytest.approx(small[1].value, rel=0.08)
    assert (large[1].n, large[1].note) == (1000, "")


def test_the_random_references_are_those_that_brute_force_would_take(ragged):
    texts = random_texts(30, seed=3)
    found = self_bleu(ragged(texts), seed=7)[1]
    order = np.random.default_rng([7, 5]).permutation(30)
    references = [texts[at] for at in order[:10]]
    wanted = np.mean([plain_bleu(texts[at], references) for at in order[10:]])
    assert found.value == pytest.approx(wanted, abs=1e-13)
    assert (found.n, found.note.split(";")[0]) == (20, "references: 10")


def test_empty_texts_are_left_out_and_short_ones_counted(ragged):
    texts = random_texts(20, seed=2)
    short = sum(len(text) < 4 for text in texts)
    with_empty, without = (self_bleu(ragged(each), seed=0)[0] for each in ([*texts, [], []], texts))
    assert with_empty.value == without.value
    assert (with_empty.n, with_empty.note) == (20, f"shorter_than_n: {short}")


@pytest.mark.parametrize("texts", [[], [[]], [[1, 2, 3, 4, 5]]])
def test_fewer_than_two_texts_have_none(ragged, texts):
    for each in self_bleu(ragged(texts), seed=0):
        assert math.isnan(each.value)
        assert "too_few_samples" in each.note
