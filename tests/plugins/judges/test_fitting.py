"""The search for how much of two answers fits, against trying every length."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench import Room
from sftbench_plugins.judges.fitting import LEAST_SHOWN, Fitting

AROUND = 300


class Texts:
    """Two answers with given tokens per character, cut in the middle as a judge is shown them."""

    def __init__(self, seed):
        draw = np.random.default_rng(seed)
        # Stretches of code, prose and Chinese: between a tenth and one and a half tokens a character.
        self.answers = [np.repeat(draw.uniform(0.1, 1.5, size=20), draw.integers(1, 400, size=20)) for _ in range(2)]
        self.lengths = [len(each) for each in self.answers]

    def tokens(self, limit):
        return AROUND + int(sum(self._cut(each, limit).sum() for each in self.answers))

    @staticmethod
    def _cut(answer, limit):
        if len(answer) <= limit:
            return answer
        head = (limit + 1) // 2
        return np.concatenate([answer[:head], answer[len(answer) - (limit - head) :]])

    def most(self, window):
        return next((limit for limit in range(max(self.lengths), 0, -1) if self.tokens(limit) <= window), 0)


def search(texts, window, *, told):
    """The length found, and how many requests were made that fitted and that did not, the whole left out."""
    found = Fitting(lengths=texts.lengths, size=sum(texts.lengths) + 4 * AROUND)

    def room(limit):
        return Room(asked=texts.tokens(limit), window=window) if told else None

    found.too_long(max(texts.lengths), room(max(texts.lengths)))
    tried = []
    while (limit := found.next()) is not None:
        assert LEAST_SHOWN <= limit < max(texts.lengths)
        tried.append(texts.tokens(limit) <= window)
        (found.fits if tried[-1] else found.too_long)(limit, room(limit))
    return found.best, tried


@pytest.mark.parametrize(("told", "near", "most"), [(True, 0.93, 8), (False, 0.86, 7)])
def test_nearly_the_greatest_length_is_found_in_a_few_tries(told, near, most):
    counts = []
    for seed in range(60):
        texts = Texts(seed)
        window = int(np.random.default_rng(seed).uniform(0.4, 0.95) * texts.tokens(max(texts.lengths)))
        best, tried = search(texts, window, told=told)
        assert texts.tokens(best) <= window
        assert best >= near * texts.most(window) or texts.tokens(best) >= 0.96 * window
        assert len(tried) <= most
        counts.append(len(tried))
    assert np.mean(counts) <= (3.0 if told else 5.0)


@pytest.mark.parametrize("told", [True, False])
def test_a_question_that_fills_the_context_is_given_up_after_a_few_tries(told):
    texts = Texts(0)
    best, tried = search(texts, AROUND // 2, told=told)
    assert best == 0
    assert not any(tried)
    assert len(tried) <= 8


def test_what_was_measured_and_does_not_hold_is_found_by_asking():
    """A tokenizer that counts less than the server does."""
    texts = Texts(1)
    window = texts.tokens(max(texts.lengths)) // 2
    found = Fitting(lengths=texts.lengths, size=sum(texts.lengths))
    found.measure(max(texts.lengths), Room(asked=2 * window, window=window))
    while (limit := found.next()) is not None:
        found.measure(limit, Room(asked=int(0.5 * texts.tokens(limit)), window=window))
    assert texts.tokens(found.best) > window
    found.too_long(found.best, None)
    assert found.best == 0
    while (limit := found.next()) is not None:
        (found.fits if texts.tokens(limit) <= window else found.too_long)(limit, None)
    assert texts.tokens(found.best) <= window
    assert found.best >= 0.86 * texts.most(window)


def test_the_shorter_answer_stays_whole_where_the_longer_alone_is_too_long():
    found = Fitting(lengths=[10_000, 400], size=10_400)
    found.too_long(10_000, Room(asked=5_200, window=2_700))
    limit = found.next()
    # Half a token a character: 2,508 tokens are too many, so 5,016 characters of the longer one.
    assert limit == pytest.approx(10_000 - 5_016, abs=2)
