"""The fit of AlpacaEval's authors as it is: liblinear, stopped at its own tolerance, C by their cross-validation."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sftbench.judging.resampling import Floats, Ints

NUM_FOLDS = 5
COSTS = np.logspace(-4, 4, 10)
"""The grid of scikit-learn's `LogisticRegressionCV`."""
_SEED = 123


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Coefficients [k] and the cost C that was chosen for them."""

    weights: Floats
    cost: float


def fit_liblinear(design: Floats, labels: Floats, weights: Floats) -> Fit:
    """L1 logistic regression of soft `labels` [n] on `design` [n, k] without an intercept.

    Every row stands twice, as 1 with weight `w * label` and as 0 with `w * (1 - label)`, both in one fold. C has the
    best mean over folds of the mean weighted log-likelihood; ties go to the smaller C, as in scikit-learn.
    """
    twice = np.concatenate([design, design])
    classes = np.repeat([1, 0], len(labels))
    counts = np.concatenate([weights * labels, weights * (1 - labels)])
    fold_of = np.tile(folds_of(len(labels)), 2)
    doubled = _Doubled(design=twice, classes=classes, counts=counts)
    soft, each_weight = np.tile(labels, 2), np.tile(weights, 2)
    scores = np.zeros((NUM_FOLDS, len(COSTS)))
    for fold in range(NUM_FOLDS):
        # One stream of random numbers for all costs of a fold, as scikit-learn has it: where costs tie, it decides.
        random = np.random.RandomState(_SEED)
        inside = fold_of == fold
        for place, cost in enumerate(COSTS):
            beta = doubled.fitted(cost, random, ~inside)
            scores[fold, place] = _likelihood(twice[inside] @ beta, soft[inside], each_weight[inside])
    best = float(COSTS[int(np.argmax(scores.mean(axis=0)))])
    return Fit(weights=doubled.fitted(best, np.random.RandomState(_SEED), np.ones(len(twice), dtype=bool)), cost=best)


def folds_of(num_rows: int) -> Ints:
    """The fold [n] of each row: those of scikit-learn's `GroupKFold` when every row is a group of its own."""
    return (num_rows - 1 - np.arange(num_rows)) % NUM_FOLDS


def _likelihood(predictor: Floats, soft: Floats, weights: Floats) -> float:
    """The mean weighted log-likelihood."""
    chance = np.clip(1 / (1 + np.exp(-predictor)), 1e-15, 1 - 1e-15)
    return float((weights * (soft * np.log(chance) + (1 - soft) * np.log(1 - chance))).mean())


@dataclass(frozen=True, kw_only=True)
class _Doubled:
    """Every row twice: design [2n, k], classes 1 and 0, and how much each counts."""

    design: Floats
    classes: Ints
    counts: Floats

    def fitted(self, cost: float, random: np.random.RandomState, rows: npt.NDArray[np.bool_]) -> Floats:
        from sklearn.linear_model import LogisticRegression

        settings = {"C": cost, "solver": "liblinear", "fit_intercept": False, "random_state": random, **l1_penalty()}
        model = LogisticRegression(**settings)
        model.fit(self.design[rows], self.classes[rows], sample_weight=self.counts[rows])
        return np.asarray(model.coef_[0], dtype=np.float64)


def l1_penalty() -> dict[str, Any]:
    """How this scikit-learn wants to be told about the L1 penalty: up to 1.7 by its name, later by a share."""
    from sklearn.linear_model import LogisticRegression

    known = inspect.signature(LogisticRegression).parameters
    by_name = "penalty" in known and known["penalty"].default != "deprecated"
    return {"penalty": "l1"} if by_name else {"l1_ratio": 1.0}
