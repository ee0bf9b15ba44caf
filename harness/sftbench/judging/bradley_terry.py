"""Bradley-Terry strengths against one baseline with covariates, fitted to the optimum by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftbench.judging.resampling import Floats, Ints

_ROUNDS = 100
_HALVINGS = 30
_TOLERANCE = 1e-10
_NO_CURVATURE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """`models` [M] are log odds against the baseline with all covariates at 0; `covariates` [q] their coefficients."""

    models: Floats
    covariates: Floats


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs [n]: place of the model, rows that the pair stands for, their sum of outcomes, covariates [n, q]."""

    models: Ints
    counts: Floats
    wins: Floats
    covariates: Floats


def fit_strengths(pairs: Pairs, num_models: int, start: Strengths | None = None) -> Strengths:
    """The maximum of the likelihood of soft outcomes, without a penalty.

    The Hessian has a diagonal block, the models, so each step solves for the covariates alone (Schur's complement).
    A model that won or lost everything has no finite optimum: its strength grows until its chance is 1 or 0 to about
    ten digits. The strength of a model without rows stays where it was.
    """
    num = pairs.covariates.shape[1]
    at = start or Strengths(models=np.zeros(num_models), covariates=np.zeros(num))
    value = _loss(pairs, at)
    for _ in range(_ROUNDS):
        step, decrease = _newton_step(pairs, at, num_models)
        at, value, moved = _moved(pairs, at, step, value)
        if not moved or decrease < _TOLERANCE * max(1.0, pairs.counts.sum()):
            break
    return at


def _predictor(pairs: Pairs, at: Strengths) -> Floats:
    return np.asarray(at.models[pairs.models] + pairs.covariates @ at.covariates)


def _loss(pairs: Pairs, at: Strengths) -> float:
    predictor = _predictor(pairs, at)
    return float(pairs.counts @ np.logaddexp(0, predictor) - pairs.wins @ predictor)


def _newton_step(pairs: Pairs, at: Strengths, num_models: int) -> tuple[Strengths, float]:
    """The step, and the fall of the loss that it promises, times two."""
    chances = 1 / (1 + np.exp(-np.clip(_predictor(pairs, at), -700, 700)))
    residual = pairs.counts * chances - pairs.wins
    curvature = pairs.counts * chances * (1 - chances)
    weighted = pairs.covariates * curvature[:, None]
    own = np.bincount(pairs.models, curvature, num_models) + _NO_CURVATURE
    mixed = np.stack([np.bincount(pairs.models, column, num_models) for column in weighted.T], axis=1)
    by_model = np.bincount(pairs.models, residual, num_models)
    by_covariate = residual @ pairs.covariates
    schur = pairs.covariates.T @ weighted - mixed.T @ (mixed / own[:, None])
    schur[np.diag_indices_from(schur)] += _NO_CURVATURE * max(1.0, float(own.sum()))
    covariates = np.asarray(np.linalg.solve(schur, mixed.T @ (by_model / own) - by_covariate), dtype=np.float64)
    models = -(by_model + mixed @ covariates) / own
    decrease = -float(by_model @ models + by_covariate @ covariates)
    return Strengths(models=models, covariates=covariates), decrease


def _moved(pairs: Pairs, at: Strengths, step: Strengths, value: float) -> tuple[Strengths, float, bool]:
    share = 1.0
    for _ in range(_HALVINGS):
        there = Strengths(models=at.models + share * step.models, covariates=at.covariates + share * step.covariates)
        after = _loss(pairs, there)
        if after <= value + 1e-13 * abs(value):
            return there, after, True
        share /= 2
    return at, value, False
