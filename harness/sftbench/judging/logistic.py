"""Many small logistic regressions at once, to the optimum: same rows, other weights, L1 penalty, soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.judging.resampling import Floats

Mask = npt.NDArray[np.bool_]
TOLERANCE = 1e-10
_ROUNDS = 200
_SWEEPS = 200
_HALVINGS = 40
_CHUNK_NUMBERS = 100_000
"""Numbers of one array [problems, rows] that are worked on together: what stays in a core's cache."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of B problems. `columns` are k arrays [n], or [B, n] where problems differ; `labels` [n] in 0 to 1.

    `weights` [B, n] say how much each row counts in each problem.
    """

    columns: Sequence[Floats]
    labels: Floats
    weights: Floats

    def of(self, which: slice | Mask) -> Rows:
        """Some of the problems."""
        return Rows(
            columns=[each if each.ndim == 1 else each[which] for each in self.columns],
            labels=self.labels,
            weights=self.weights[which],
        )


def fit_l1(rows: Rows, strengths: Floats, start: Floats | None = None) -> Floats:
    """Coefficients [B, k] that minimise sum_i w_i loss_i(beta) + strength * sum_j |beta_j|, one problem per row.

    loss is the cross-entropy of sigmoid(x beta) with the soft label; there is no intercept. With strength 1 / C this is
    the optimum of liblinear's L1 logistic regression at cost C. Proximal Newton steps (Lee, Sun and Saunders
    2014): the quadratic model is solved by coordinate descent, the step halved until the objective falls.
    `start` is [k] or [B, k].
    """
    num_problems, num_rows = rows.weights.shape
    beta = np.zeros((num_problems, len(rows.columns)))
    if start is not None:
        beta[:] = start
    size = max(1, _CHUNK_NUMBERS // max(num_rows, 1))
    for first in range(0, num_problems, size):
        some = slice(first, first + size)
        beta[some] = _fit(rows.of(some), strengths[some], beta[some])
    return beta


def _fit(rows: Rows, strengths: Floats, beta: Floats) -> Floats:
    beta = beta.copy()
    active = np.arange(len(beta))
    mine, penalty = rows, strengths
    for _ in range(_ROUNDS):
        here = beta[active]
        value, gradient, hessian = _derivatives(mine, here)
        step = _l1_step(here, gradient, hessian, penalty)
        moved = _shortened(mine, penalty, here, step, value)
        beta[active] = here + moved
        going = np.abs(moved).max(axis=1) > TOLERANCE * np.maximum(1, np.abs(beta[active]).max(axis=1))
        if not going.any():
            break
        if not going.all():
            active, penalty, mine = active[going], penalty[going], mine.of(going)
    return beta


def linear_predictor(columns: Sequence[Floats], beta: Floats) -> Floats:
    """x beta [B, n] for coefficients [B, k]."""
    total = beta[:, :1] * columns[0]
    for index, column in enumerate(columns[1:], 1):
        total += beta[:, index : index + 1] * column
    return np.asarray(total, dtype=np.float64)


def _along(values: Floats, column: Floats) -> Floats:
    return np.asarray(values @ column if column.ndim == 1 else np.einsum("bn,bn->b", values, column))


def _loss(rows: Rows, predictor: Floats) -> Floats:
    """Weighted cross-entropy [B]."""
    softplus = np.logaddexp(0, predictor)
    return np.asarray(np.einsum("bn,bn->b", rows.weights, softplus - rows.labels * predictor))


def _derivatives(rows: Rows, beta: Floats) -> tuple[Floats, Floats, Floats]:
    """The loss [B], its gradient [B, k] and its Hessian [B, k, k]."""
    predictor = linear_predictor(rows.columns, beta)
    chance = 1 / (1 + np.exp(-np.clip(predictor, -700, 700)))
    residual = rows.weights * (chance - rows.labels)
    curvature = rows.weights * (chance * (1 - chance))
    k = len(rows.columns)
    hessian = np.empty((len(beta), k, k))
    for i in range(k):
        scaled = curvature * rows.columns[i]
        for j in range(i, k):
            hessian[:, i, j] = hessian[:, j, i] = _along(scaled, rows.columns[j])
    gradient = np.stack([_along(residual, column) for column in rows.columns], axis=1)
    return _loss(rows, predictor), gradient, hessian


def _l1_step(beta: Floats, gradient: Floats, hessian: Floats, strengths: Floats) -> Floats:
    """The step [B, k] to the minimum of the quadratic model plus the penalty, by coordinate descent."""
    k = beta.shape[1]
    diagonal = hessian[:, range(k), range(k)]
    # A column of zeros has no curvature; with any, its coefficient goes to 0 by the penalty alone.
    hessian = hessian.copy()
    hessian[:, range(k), range(k)] = diagonal + 1e-12 * (1 + diagonal.max(axis=1, keepdims=True))
    new = beta.copy()
    for _ in range(_SWEEPS):
        largest = 0.0
        for j in range(k):
            slope = gradient[:, j] + np.einsum("bk,bk->b", hessian[:, j], new - beta)
            target = new[:, j] - slope / hessian[:, j, j]
            shrunk = np.sign(target) * np.maximum(np.abs(target) - strengths / hessian[:, j, j], 0)
            largest = max(largest, float(np.abs(shrunk - new[:, j]).max(initial=0)))
            new[:, j] = shrunk
        if largest < TOLERANCE / 10:
            break
    return np.asarray(new - beta)


def _shortened(rows: Rows, strengths: Floats, beta: Floats, step: Floats, value: Floats) -> Floats:
    """The step, halved where the objective would not fall otherwise; 0 where it cannot fall any more."""

    before = value + strengths * np.abs(beta).sum(axis=1)
    slack = 1e-13 * np.maximum(1, np.abs(before))
    step = step.copy()
    for _ in range(_HALVINGS):
        at = beta + step
        after = _loss(rows, linear_predictor(rows.columns, at)) + strengths * np.abs(at).sum(axis=1)
        worse = ~(after <= before + slack)
        if not worse.any():
            return step
        step[worse] /= 2
    step[worse] = 0
    return step
