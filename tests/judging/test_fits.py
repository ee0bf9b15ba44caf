"""Our optimisers against other people's: liblinear, scipy, and least conditions of an optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from sftbench.judging.bradley_terry import Pairs, fit_strengths
from sftbench.judging.joint_difficulty import AllVerdicts, fit_jointly
from sftbench.judging.liblinear import folds_of, l1_penalty
from sftbench.judging.logistic import Rows, fit_l1


def problem(seed, num=300):
    draw = np.random.default_rng(seed)
    columns = [np.tanh(draw.normal(size=num)), draw.normal(size=num), np.ones(num)]
    chance = 1 / (1 + np.exp(-(1.5 * columns[0] + 0.8 * columns[1] - 0.7)))
    labels = np.clip(chance + draw.normal(scale=0.2, size=num), 0, 1)
    return columns, labels, draw.poisson(1.0, size=(6, num)).astype(float)


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
def test_the_l1_fit_is_the_optimum_that_liblinear_goes_to(cost):
    columns, labels, weights = problem(1)
    ours = fit_l1(Rows(columns=columns, labels=labels, weights=weights), np.full(len(weights), 1 / cost))
    design = np.tile(np.stack(columns, axis=1), (2, 1))
    classes = np.repeat([1, 0], len(labels))
    for mine, weight in zip(ours, weights, strict=True):
        counts = np.concatenate([weight * labels, weight * (1 - labels)])
        fitted = LogisticRegression(
            C=cost, solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000, random_state=0, **l1_penalty()
        ).fit(design, classes, sample_weight=counts)
        np.testing.assert_allclose(mine, fitted.coef_[0], atol=1e-6)


def test_the_l1_fit_meets_the_conditions_of_an_optimum():
    """Subgradient: -strength * sign where a coefficient is not 0, and at most the strength in size where it is."""
    columns, labels, weights = problem(2)
    design, strengths = np.stack(columns, axis=1), np.array([1e-3, 0.1, 1.0, 10.0, 60.0, 1e4])
    ours = fit_l1(Rows(columns=columns, labels=labels, weights=weights), strengths)
    for beta, weight, strength in zip(ours, weights, strengths, strict=True):
        gradient = design.T @ (weight * (1 / (1 + np.exp(-design @ beta)) - labels))
        zero = beta == 0
        assert np.abs(gradient[zero]).max(initial=0) <= strength
        np.testing.assert_allclose(gradient[~zero], -strength * np.sign(beta[~zero]), atol=1e-6 * max(strength, 1))
    assert (ours[-1] == 0).all()
    assert (ours[-2] == 0).any()


def test_problems_with_columns_of_their_own_are_those_problems_alone():
    columns, labels, weights = problem(3)
    own = np.random.default_rng(4).normal(size=weights.shape)
    strengths = np.full(len(weights), 0.5)
    together = fit_l1(Rows(columns=[own, *columns[1:]], labels=labels, weights=weights), strengths)
    for index in range(len(weights)):
        alone = Rows(columns=[own[index], *columns[1:]], labels=labels, weights=weights[index : index + 1])
        np.testing.assert_allclose(together[index], fit_l1(alone, strengths[:1])[0], atol=1e-8)


def test_a_fit_from_elsewhere_ends_at_the_same_place():
    columns, labels, weights = problem(5)
    rows = Rows(columns=columns, labels=labels, weights=weights)
    strengths = np.full(len(weights), 0.3)
    far = fit_l1(rows, strengths, start=np.array([30.0, -30.0, 30.0]))
    np.testing.assert_allclose(far, fit_l1(rows, strengths), atol=1e-7)


def test_rows_that_all_agree_have_a_finite_fit_under_the_penalty():
    rows = Rows(columns=[np.zeros(50), np.ones(50)], labels=np.ones(50), weights=np.ones((1, 50)))
    length, model = fit_l1(rows, np.array([1.0]))[0]
    assert length == 0
    # d/dtheta: 50 (1 - sigmoid) = 1.
    assert model == pytest.approx(np.log(49), abs=1e-8)


@pytest.mark.parametrize("num", [5, 7, 15])
def test_folds_are_those_of_scikit_learn(num):
    """Up to sixteen rows, where its sorting of equal sizes is the same on every processor."""
    theirs = np.empty(num, dtype=int)
    for fold, (_, test) in enumerate(GroupKFold(5).split(np.zeros(num), groups=np.arange(num))):
        theirs[test] = fold
    np.testing.assert_array_equal(folds_of(num), theirs)


def battles(seed, num=400, num_models=3):
    draw = np.random.default_rng(seed)
    models = draw.integers(0, num_models, num)
    covariates = draw.normal(size=(num, 2))
    predictor = np.linspace(-1, 1, num_models)[models] + covariates @ np.array([0.6, -0.3])
    counts = draw.integers(1, 7, num).astype(float)
    wins = draw.binomial(counts.astype(int), 1 / (1 + np.exp(-predictor))).astype(float)
    return Pairs(models=models, counts=counts, wins=wins, covariates=covariates)


def test_strengths_are_the_optimum_that_scipy_finds():
    pairs = battles(1)
    design = np.concatenate([np.eye(3)[pairs.models], pairs.covariates], axis=1)

    def loss(beta):
        predictor = design @ beta
        chance = 1 / (1 + np.exp(-predictor))
        value = pairs.counts @ np.logaddexp(0, predictor) - pairs.wins @ predictor
        return value, design.T @ (pairs.counts * chance - pairs.wins)

    theirs = minimize(loss, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-7}).x
    ours = fit_strengths(pairs, 3)
    np.testing.assert_allclose([*ours.models, *ours.covariates], theirs, atol=1e-6)


def test_a_model_that_always_wins_has_all_of_the_chance():
    pairs = battles(2)
    wins = np.where(pairs.models == 1, pairs.counts, pairs.wins)
    found = fit_strengths(Pairs(models=pairs.models, counts=pairs.counts, wins=wins, covariates=pairs.covariates), 3)
    assert 1 / (1 + np.exp(-found.models[1])) > 1 - 1e-6
    assert np.isfinite(found.models).all()


def test_a_covariate_that_is_zero_has_no_effect():
    pairs = battles(3)
    without = Pairs(models=pairs.models, counts=pairs.counts, wins=pairs.wins, covariates=np.zeros((400, 1)))
    found = fit_strengths(without, 3)
    assert found.covariates[0] == 0
    shares = [pairs.wins[pairs.models == m].sum() / pairs.counts[pairs.models == m].sum() for m in range(3)]
    np.testing.assert_allclose(1 / (1 + np.exp(-found.models)), shares, atol=1e-9)


def test_joint_difficulties_are_those_that_the_verdicts_came_from():
    draw = np.random.default_rng(7)
    num_models, num_prompts = 30, 150
    difficulties = draw.normal(size=num_prompts)
    psi, theta = draw.uniform(0.6, 1.4, num_models), draw.normal(size=num_models)
    models, prompts = (each.ravel() for each in np.mgrid[:num_models, :num_prompts])
    terms = np.tanh(draw.normal(size=len(models)))
    chance = 1 / (1 + np.exp(-(theta[models] + 1.2 * terms + psi[models] * difficulties[prompts])))
    judged = AllVerdicts(models=models, prompts=prompts, preferences=chance, length_terms=terms)
    found = fit_jointly(judged, num_models, num_prompts)
    assert np.corrcoef(found.difficulties, difficulties)[0, 1] > 0.99
    assert found.difficulties.mean() == pytest.approx(0, abs=1e-12)
    assert found.coefficients[:, 1].mean() == pytest.approx(1)
    assert np.corrcoef(found.coefficients[:, 1], psi)[0, 1] > 0.95
