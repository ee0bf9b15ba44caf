"""How ratings err: a matrix of P(rating | true class), estimated from how neighbours agree (HOC).

Source: DS2 (arXiv 2410.10877), sec. 4; "Clusterability as an Alternative to Anchor Points When Learning
with Noisy Labels" (Zhu, Song, Liu 2021); UCSC-REAL/DS2 @ 8b2db16, `docta.core.hoc`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NUM_CLASSES = 6
ORDER = 3
"""A row and its two nearest are looked at together."""
LEARNING_RATE = 0.1
NUM_STEPS = 1501
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_WARM = 5
"""Steps before the best solution is tracked."""
_SETTLED = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Consensus:
    """Shares of label patterns of a row (`first` [6]), with its nearest (`second` [6, 6]), and with two (`third`)."""

    first: Floats
    second: Floats
    third: Floats

    @classmethod
    def of(cls, labels: npt.NDArray[np.int64]) -> Consensus:
        """From labels [s, 3] of rows and their two nearest, each row standing first in its list."""
        shape = (NUM_CLASSES,) * ORDER
        flat = np.ravel_multi_index(tuple(labels.T), shape)
        third = np.bincount(flat, minlength=NUM_CLASSES**ORDER).reshape(shape) / len(labels)
        return cls(first=third.sum((1, 2)), second=third.sum(2), third=third)

    def plus(self, other: Consensus) -> Consensus:
        """Sums, term by term."""
        return Consensus(
            first=self.first + other.first, second=self.second + other.second, third=self.third + other.third
        )

    def over(self, number: float) -> Consensus:
        """Every share divided by a number."""
        return Consensus(first=self.first / number, second=self.second / number, third=self.third / number)


@dataclass(frozen=True, kw_only=True, eq=False)
class Transition:
    """`matrix` [6, 6]: P(rating j | true class i), rows of sum 1; `prior` [6] of true classes; `loss` of the fit."""

    matrix: Floats
    prior: Floats
    loss: float

    def noise_rates(self, shares: Floats) -> Floats:
        """How many of the rows rated c are not of class c, [6], from the shares [6] of the ratings.

        1 - T_cc p_c / share_c; 0.95 where that is 1 or more, 0.05 where it is 0 or less. NaN for a rating
        that nobody has.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = 1 - np.minimum(np.diag(self.matrix) * self.prior / shares, 1.0)
        rates = np.where(rates >= 1, 0.95, np.where(rates <= 0, 0.05, rates))
        return np.where(shares > 0, rates, np.nan)


def fit(consensus: Consensus, *, prior_logits: Floats, keep_best: bool) -> Transition:
    """The matrix and prior whose patterns, rows being independent given their class, come nearest to those seen.

    Minimises the sum of the three Frobenius norms by Adam over logits, the matrix's from 5 I - 1.
    `keep_best` returns the best solution met. Otherwise it is the mean over the last 200 steps: the
    authors' code returns the last step, which jitters about that mean by some thousandths, as the
    machine rounds, since the learning rate never falls.
    """
    seen = (consensus.first, consensus.second, consensus.third)
    logits = np.concatenate([5 * np.eye(NUM_CLASSES) - 1, np.reshape(prior_logits, (1, NUM_CLASSES))])
    moments = np.zeros_like(logits), np.zeros_like(logits)
    settled = np.zeros_like(logits)
    loss, gradient = misfit(logits, seen)
    best, lowest = logits, math.inf
    for step in range(1, NUM_STEPS):
        logits = _adam(logits, gradient, moments, step)
        loss, gradient = misfit(logits, seen)
        if step > _WARM and loss < lowest:
            best, lowest = logits, loss
        if step >= NUM_STEPS - _SETTLED:
            settled += _softmax(logits) / _SETTLED
    found = _softmax(best) if keep_best else settled
    return Transition(matrix=found[:-1], prior=found[-1], loss=float(misfit(np.log(found), seen)[0]))


def patterns(matrix: Floats, prior: Floats) -> tuple[Floats, Floats, Floats]:
    """P(y1) [6], P(y1, y2) [6, 6] and P(y1, y2, y3) of labels drawn independently for rows of one class."""
    pairs = (matrix[:, :, None] * matrix[:, None, :]).reshape(NUM_CLASSES, -1)
    third = ((prior[:, None] * matrix).T @ pairs).reshape((NUM_CLASSES,) * ORDER)
    return prior @ matrix, (prior @ pairs).reshape(NUM_CLASSES, NUM_CLASSES), third


def misfit(logits: Floats, seen: Sequence[Floats]) -> tuple[float, Floats]:
    """The sum of the three norms, and its gradient, at logits [7, 6]: those of the matrix, and last the prior's."""
    shares = _softmax(logits)
    matrix, prior = shares[:-1], shares[-1]
    gaps = [made - each for made, each in zip(patterns(matrix, prior), seen, strict=True)]
    norms = [float(np.linalg.norm(each)) for each in gaps]
    first, second, third = (gap / norm if norm else gap for gap, norm in zip(gaps, norms, strict=True))
    # Row i of these is a derivative by M_i. up to the prior: each order has as many factors of it as places.
    pairs = (matrix[:, :, None] * matrix[:, None, :]).reshape(NUM_CLASSES, -1)
    turned = np.sum([np.moveaxis(third, place, 0) for place in range(ORDER)], axis=0).reshape(NUM_CLASSES, -1)
    by_order = (np.tile(first, (NUM_CLASSES, 1)), matrix @ (second + second.T), pairs @ turned.T)
    slopes = np.empty_like(shares)
    slopes[:-1] = prior[:, None] * sum(by_order)
    # Of m equal factors each derivative holds all: their sum over places is m times the pattern's value.
    slopes[-1] = sum((matrix * each).sum(1) / order for order, each in enumerate(by_order, 1))
    return sum(norms), shares * (slopes - (shares * slopes).sum(1, keepdims=True))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares


def _adam(logits: Floats, gradient: Floats, moments: tuple[Floats, Floats], step: int) -> Floats:
    """One step with the usual constants (Kingma and Ba 2015); the moments are changed in place."""
    mean, square = moments
    mean += (1 - _BETAS[0]) * (gradient - mean)
    square += (1 - _BETAS[1]) * (gradient**2 - square)
    root = np.sqrt(square / (1 - _BETAS[1] ** step))
    moved: Floats = logits - LEARNING_RATE * (mean / (1 - _BETAS[0] ** step)) / (root + _EPSILON)
    return moved
