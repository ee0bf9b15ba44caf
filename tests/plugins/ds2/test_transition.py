"""How ratings err: consensus by counting, the fit by its derivatives, and a known matrix found again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sftbench_plugins.ds2.transition import NUM_CLASSES, Consensus, Transition, fit, misfit, patterns

FLAT = np.full(NUM_CLASSES, 1 / NUM_CLASSES)


def test_consensus_counts_patterns():
    labels = np.array([[0, 0, 1], [0, 0, 1], [5, 2, 2], [0, 3, 1]])
    found = Consensus.of(labels)
    assert found.first.tolist() == [0.75, 0, 0, 0, 0, 0.25]
    assert found.second[0, 0] == 0.5
    assert found.second[0, 3] == found.second[5, 2] == 0.25
    assert found.third[0, 0, 1] == 0.5
    assert found.third[5, 2, 2] == 0.25
    assert [each.sum() for each in (found.first, found.second, found.third)] == [1, 1, 1]


def test_consensus_adds_and_divides():
    one = Consensus.of(np.array([[0, 1, 2]]))
    two = one.plus(Consensus.of(np.array([[0, 0, 0]]))).over(2)
    assert two.first[0] == 1
    assert two.second[0, 1] == two.third[0, 0, 0] == 0.5


@pytest.fixture
def truth():
    draw = np.random.default_rng(4)
    matrix = draw.dirichlet([0.5] * NUM_CLASSES, size=NUM_CLASSES) * 0.3 + 0.7 * np.eye(NUM_CLASSES)
    return matrix, draw.dirichlet([5.0] * NUM_CLASSES)


def test_patterns_are_sums_over_the_true_class(truth):
    matrix, prior = truth
    first, second, third = patterns(matrix, prior)
    for a, b, c in itertools.product(range(NUM_CLASSES), repeat=3):
        expected = sum(prior[i] * matrix[i, a] * matrix[i, b] * matrix[i, c] for i in range(NUM_CLASSES))
        assert third[a, b, c] == pytest.approx(expected)
    np.testing.assert_allclose(third.sum(2), second)
    np.testing.assert_allclose(second.sum(1), first)


def test_the_gradient_is_that_of_finite_differences():
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(NUM_CLASSES + 1, NUM_CLASSES))
    seen = [draw.dirichlet(np.ones(NUM_CLASSES**order)).reshape((NUM_CLASSES,) * order) for order in (1, 2, 3)]
    gradient = misfit(logits, seen)[1]
    for place in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-6
        difference = (misfit(logits + step, seen)[0] - misfit(logits - step, seen)[0]) / 2e-6
        assert gradient[place] == pytest.approx(difference, abs=1e-7)


def test_a_perfect_fit_has_no_loss_and_no_gradient_that_is_not_a_number(truth):
    matrix, prior = truth
    logits = np.log(np.vstack([matrix, prior]))
    loss, gradient = misfit(logits, patterns(matrix, prior))
    assert loss == pytest.approx(0, abs=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("keep_best", [False, True])
def test_a_known_matrix_is_found_again_from_its_patterns(truth, keep_best):
    matrix, prior = truth
    first, second, third = patterns(matrix, prior)
    found = fit(Consensus(first=first, second=second, third=third), prior_logits=FLAT, keep_best=keep_best)
    np.testing.assert_allclose(found.matrix, matrix, atol=0.03)
    np.testing.assert_allclose(found.prior, prior, atol=0.03)
    np.testing.assert_allclose(found.matrix.sum(1), 1)


@pytest.fixture
def disturbed(truth):
    """Patterns that no matrix explains."""
    noise = np.random.default_rng(1).dirichlet(np.ones(NUM_CLASSES**3)).reshape((NUM_CLASSES,) * 3)
    third = 0.7 * patterns(*truth)[2] + 0.3 * noise
    return Consensus(first=third.sum((1, 2)), second=third.sum(2), third=third)


def test_the_loss_is_that_of_what_is_returned(disturbed):
    seen = (disturbed.first, disturbed.second, disturbed.third)
    for keep_best in (False, True):
        found = fit(disturbed, prior_logits=FLAT, keep_best=keep_best)
        made = patterns(found.matrix, found.prior)
        assert found.loss == pytest.approx(sum(np.linalg.norm(a - b) for a, b in zip(made, seen, strict=True)))
        start = misfit(np.concatenate([5 * np.eye(NUM_CLASSES) - 1, FLAT[None]]), seen)[0]
        assert found.loss < 0.5 * start


def test_noise_rates_are_what_bayes_says_and_stay_off_the_ends():
    matrix = np.full((NUM_CLASSES, NUM_CLASSES), 0.08)
    np.fill_diagonal(matrix, 0.6)
    prior = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.0])
    shares = np.array([0.2, 0.15, 0.05, 0.6, 0.0, 0.0])
    rates = Transition(matrix=matrix, prior=prior, loss=0).noise_rates(shares)
    assert rates[0] == pytest.approx(1 - 0.6)
    assert rates[1] == pytest.approx(1 - 0.12 / 0.15)
    assert rates[2] == 0.05, "more of the class than were rated so: clipped"
    assert rates[3] == pytest.approx(1 - 0.2)
    assert np.isnan(rates[4:]).all(), "nobody has these ratings"
    nobody_is = Transition(matrix=matrix, prior=np.eye(NUM_CLASSES)[0], loss=0).noise_rates(np.full(NUM_CLASSES, 1 / 6))
    assert nobody_is[1:].tolist() == [0.95] * 5
