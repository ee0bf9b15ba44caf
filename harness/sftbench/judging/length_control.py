"""The length-controlled win rate of AlpacaEval 2 (arXiv 2404.04475): a small logistic model for each model judged.

    logit P(model wins on x) = theta + phi * tanh(d_x / sd(d)) + psi * difficulty_x

with d = length_baseline - length_model. The score is the mean over x of the predictions with d set to 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sftbench.judging.counting import Mode
from sftbench.judging.instructions import Gamed
from sftbench.judging.liblinear import COSTS, NUM_FOLDS, Fit, fit_liblinear, folds_of
from sftbench.judging.logistic import Rows, fit_l1, linear_predictor
from sftbench.judging.resampling import Floats, Interval, interval, weighted_means
from sftbench.judging.win_rate import normal_interval

Form = Literal["v1", "noreg", "minimal", "joint"]
GAMED_WEIGHT = 0.2 / 2
"""Of each row of a gamed baseline: 0.2 in all, for two of them."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The judged answers of one model: preferences, length differences (baseline - model), difficulties, all [n].

    `difficulties` is None in the minimal form.
    """

    preferences: Floats
    length_differences: Floats
    difficulties: Floats | None


@dataclass(frozen=True, kw_only=True)
class Regulariser:
    """Rows of gamed baselines [m]."""

    preferences: Floats
    length_terms: Floats
    difficulties: Floats

    @classmethod
    def of(cls, gamed: Gamed) -> Regulariser:
        """From the file, whose length differences are in standard deviations."""
        return cls(
            preferences=gamed.preferences,
            length_terms=np.tanh(gamed.length_differences),
            difficulties=gamed.difficulties,
        )


@dataclass(frozen=True, kw_only=True)
class LengthControlled:
    """`rate` in 0 to 1, and what it follows from; `w_difficulty` is None in the minimal form."""

    rate: Interval
    w_model: float
    w_length: float
    w_difficulty: float | None
    cost: float
    drawn: Floats | None = field(default=None, compare=False, repr=False)
    """The rate in each draw of prompts [B]; None without draws."""


def length_controlled(
    answers: Answers, gamed: Regulariser | None, *, mode: Mode, draws: Floats | None = None
) -> LengthControlled:
    """The controlled win rate of one model.

    `official` fits with the authors' settings, and its standard error is theirs, sd / sqrt(n) of the predictions
    (which leaves out that the coefficients are estimates, and is 0 in the minimal form). `paper` fits to the optimum,
    and its interval is a bootstrap over prompts with a new fit for each draw [B, n]. These fits have the largest C of
    the grid, so next to no penalty: the penalty that cross-validation happens to choose draws scores towards 50,
    and bounds of penalised fits held the truth in 91 % of simulations instead of 95 %. Gamed rows are no sample and
    stay in every draw.
    """
    problem = _Problem.of(answers, gamed)
    fit = _official_fit(problem) if mode == "official" else _converged_fit(problem)
    predictions = _predictions(fit.weights[None, :], answers.difficulties, len(answers.preferences))[0]
    value = float(predictions.mean())
    drawn = None if draws is None else _resampled(problem, answers, draws, fit)
    rate = normal_interval(value, predictions) if drawn is None else interval(value, drawn)
    return LengthControlled(
        rate=rate,
        w_model=float(fit.weights[-1]),
        w_length=float(fit.weights[0]),
        w_difficulty=None if answers.difficulties is None else float(fit.weights[1]),
        cost=fit.cost,
        drawn=drawn,
    )


def length_terms(differences: Floats, counts: Floats | None = None) -> Floats:
    """tanh of the differences [n] over their sd (with n - 1); with `counts` [B, n] each draw has its own sd: [B, n].

    Where all differences are equal there is no sd, and the term is 0: no length effect can be told.
    """
    given = np.ones((1, len(differences))) if counts is None else counts
    totals = given.sum(axis=1, keepdims=True)
    means = weighted_means(given, differences)[:, None]
    variances = (given * (differences - means) ** 2).sum(axis=1, keepdims=True) / np.maximum(totals - 1, 1)
    deviations = np.sqrt(variances)
    scaled = np.divide(differences, deviations, out=np.zeros(np.broadcast_shapes(given.shape)), where=deviations > 0)
    terms = np.tanh(scaled)
    return np.asarray(terms[0] if counts is None else terms)


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """The rows to fit: those of gamed baselines first, as in the official code."""

    columns: list[Floats]
    labels: Floats
    weights: Floats
    num_gamed: int

    @classmethod
    def of(cls, answers: Answers, gamed: Regulariser | None) -> _Problem:
        num, num_gamed = len(answers.preferences), 0 if gamed is None else len(gamed.preferences)
        columns = [length_terms(answers.length_differences)]
        if answers.difficulties is not None:
            columns.append(answers.difficulties)
        columns.append(np.ones(num))
        labels, weights = answers.preferences, np.ones(num)
        if gamed is not None:
            before = [gamed.length_terms, gamed.difficulties, np.zeros(num_gamed)]
            columns = [np.concatenate(pair) for pair in zip(before, columns, strict=True)]
            labels = np.concatenate([gamed.preferences, labels])
            weights = np.concatenate([np.full(num_gamed, GAMED_WEIGHT), weights])
        return cls(columns=columns, labels=labels, weights=weights, num_gamed=num_gamed)


def _official_fit(problem: _Problem) -> Fit:
    return fit_liblinear(np.stack(problem.columns, axis=1), problem.labels, problem.weights)


def _converged_fit(problem: _Problem) -> Fit:
    """C by cross-validation over the authors' folds, then the optimum at that C."""
    folds = folds_of(len(problem.labels))
    in_training = np.stack([folds != fold for fold in range(NUM_FOLDS)]).astype(np.float64)
    weights = np.tile(in_training * problem.weights, (len(COSTS), 1))
    beta = fit_l1(
        Rows(columns=problem.columns, labels=problem.labels, weights=weights), np.repeat(1 / COSTS, NUM_FOLDS)
    )
    predictor = linear_predictor(problem.columns, beta)
    losses = np.logaddexp(0, predictor) - problem.labels * predictor
    held_out = np.tile((1 - in_training) * problem.weights, (len(COSTS), 1))
    sizes = np.maximum((held_out > 0).sum(axis=1), 1)
    means = ((held_out * losses).sum(axis=1) / sizes).reshape(len(COSTS), NUM_FOLDS).mean(axis=1)
    cost = float(COSTS[int(np.argmin(means))])
    rows = Rows(columns=problem.columns, labels=problem.labels, weights=problem.weights[None, :])
    return Fit(weights=fit_l1(rows, np.array([1 / cost]))[0], cost=cost)


def _resampled(problem: _Problem, answers: Answers, draws: Floats, fit: Fit) -> Floats:
    """The controlled win rates [B] of the draws [B, n]."""
    rates = []
    size = max(1, 400_000 // len(problem.labels))
    for first in range(0, len(draws), size):
        counts = draws[first : first + size]
        drawn = length_terms(answers.length_differences, counts)
        fixed = np.broadcast_to(problem.columns[0][: problem.num_gamed], (len(counts), problem.num_gamed))
        gamed_weights = np.full((len(counts), problem.num_gamed), GAMED_WEIGHT)
        rows = Rows(
            columns=[np.concatenate([fixed, drawn], axis=1), *problem.columns[1:]],
            labels=problem.labels,
            weights=np.concatenate([gamed_weights, counts], axis=1),
        )
        beta = fit_l1(rows, np.full(len(counts), 1 / COSTS[-1]), start=fit.weights)
        predictions = _predictions(beta, answers.difficulties, counts.shape[1])
        totals = counts.sum(axis=1)
        sums = (counts * predictions).sum(axis=1)
        rates.append(np.divide(sums, totals, out=np.full(len(counts), np.nan), where=totals > 0))
    return np.concatenate(rates)


def _predictions(beta: Floats, difficulties: Floats | None, num: int) -> Floats:
    """P(model wins) [B, n] with equal lengths."""
    predictor = np.broadcast_to(beta[:, -1:], (len(beta), num))
    if difficulties is not None:
        predictor = predictor + beta[:, 1:2] * difficulties
    return np.asarray(1 / (1 + np.exp(-np.clip(predictor, -700, 700))), dtype=np.float64)


def is_extreme(before: float, after: float) -> bool:
    """Whether control changed a win rate (percent) more than the authors' code lets pass without a warning.

    By more than 10 points and more than a quarter of the way to 0 or to 100.
    """
    too_small = after < min(before - before / 4, before - 10)
    too_large = after > max(before + (100 - before) / 4, before + 10)
    return too_small or too_large
