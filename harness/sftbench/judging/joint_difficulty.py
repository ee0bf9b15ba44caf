"""The difficulty of instructions from the verdicts themselves, where ten or more models were judged on them.

AlpacaEval's difficulties hold for its own judge, baseline and prompts. For others they are fitted here, with

    logit P(model m wins on x) = theta_m + phi_m * length_term_mx + psi_m * difficulty_x

over all models at once: difficulties and coefficients in turn, each with a ridge penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftbench.judging.resampling import Floats, Ints

MIN_MODELS = 10
_RIDGE = 1.0
"""On difficulties and on psi - 1: a normal prior with one logit (or one unit) as its standard deviation."""
_WEAK_RIDGE = 1e-3
_ROUNDS = 500
_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class AllVerdicts:
    """All verdicts [n]: places of model and prompt, preference, length term."""

    models: Ints
    prompts: Ints
    preferences: Floats
    length_terms: Floats


@dataclass(frozen=True, kw_only=True)
class JointFit:
    """`difficulties` [P], and `coefficients` [M, 3] of length, difficulty and model."""

    difficulties: Floats
    coefficients: Floats


def fit_jointly(judged: AllVerdicts, num_models: int, num_prompts: int) -> JointFit:
    """Difficulties with mean 0, of a size that makes the mean psi 1.

    Only the product psi * difficulty is in the model, so one of the two scales is free: mean psi = 1 sets it, and the
    standard deviation of the difficulties then says how much instructions differ. (Both cannot be set to 1.)
    """
    difficulties = np.zeros(num_prompts)
    coefficients = np.tile([0.0, 1.0, 0.0], (num_models, 1))
    for _ in range(_ROUNDS):
        before = difficulties
        coefficients = _new_coefficients(judged, coefficients, difficulties)
        difficulties = _new_difficulties(judged, coefficients, difficulties)
        if np.abs(difficulties - before).max() < _TOLERANCE:
            break
    scale, shift = float(coefficients[:, 1].mean()), float(difficulties.mean())
    theta = coefficients[:, 2] + coefficients[:, 1] * shift
    return JointFit(
        difficulties=(difficulties - shift) * scale,
        coefficients=np.stack([coefficients[:, 0], coefficients[:, 1] / scale, theta], axis=1),
    )


def _chances(judged: AllVerdicts, coefficients: Floats, difficulties: Floats) -> Floats:
    mine = coefficients[judged.models]
    predictor = mine[:, 0] * judged.length_terms + mine[:, 1] * difficulties[judged.prompts] + mine[:, 2]
    return np.asarray(1 / (1 + np.exp(-np.clip(predictor, -700, 700))), dtype=np.float64)


def _new_difficulties(judged: AllVerdicts, coefficients: Floats, difficulties: Floats) -> Floats:
    """One Newton step for each difficulty, at most a unit long; with the coefficients given they are independent."""
    chances = _chances(judged, coefficients, difficulties)
    psi = coefficients[judged.models, 1]
    num = len(difficulties)
    gradient = np.bincount(judged.prompts, psi * (chances - judged.preferences), num) + _RIDGE * difficulties
    curvature = np.bincount(judged.prompts, psi**2 * chances * (1 - chances), num) + _RIDGE
    return np.asarray(difficulties - np.clip(gradient / curvature, -1, 1))


def _new_coefficients(judged: AllVerdicts, coefficients: Floats, difficulties: Floats) -> Floats:
    """One Newton step for the three coefficients of each model, at most a unit long."""
    chances = _chances(judged, coefficients, difficulties)
    columns = (judged.length_terms, difficulties[judged.prompts], np.ones(len(chances)))
    num = len(coefficients)
    ridge = np.array([_WEAK_RIDGE, _RIDGE, _WEAK_RIDGE])
    gradient = np.stack([_sums(judged, column * (chances - judged.preferences), num) for column in columns], axis=1)
    gradient += ridge * (coefficients - np.array([0.0, 1.0, 0.0]))
    curvature = chances * (1 - chances)
    hessian = np.empty((num, 3, 3))
    for i, one in enumerate(columns):
        for j, other in enumerate(columns):
            hessian[:, i, j] = _sums(judged, curvature * one * other, num)
    hessian += np.diag(ridge)
    steps = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    lengths = np.abs(steps).max(axis=1, keepdims=True)
    return np.asarray(coefficients - steps / np.maximum(1, lengths))


def _sums(judged: AllVerdicts, values: Floats, num: int) -> Floats:
    return np.asarray(np.bincount(judged.models, values, num), dtype=np.float64)
