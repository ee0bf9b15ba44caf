"""From the token losses of the noisy copies of one row to its IFD and S-IFD."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Losses(NamedTuple):
    """Negative log-likelihoods in nats of the response tokens of one row's copies.

    `conditional` is float32 [N, m]; `alone` is float32 [N, m] or [N, m - 1] when nothing precedes the
    first token. The last tokens of both are the same tokens.
    """

    conditional: npt.NDArray[np.float32]
    alone: npt.NDArray[np.float32]


def differences(losses: Losses) -> npt.NDArray[np.float32]:
    """Delta = nll given the prompt minus nll alone, on tokens that both have (paper, sec. 3.1): float32 [N, k]."""
    shared = min(losses.conditional.shape[1], losses.alone.shape[1])
    conditional = losses.conditional[:, losses.conditional.shape[1] - shared :]
    alone = losses.alone[:, losses.alone.shape[1] - shared :]
    return np.asarray(conditional - alone, dtype=np.float32)


def ifd(losses: Losses, *, same_tokens: bool) -> FloatArray:
    """Perplexity with the prompt over perplexity without, per copy: float64 [N].

    The authors' code takes each mean over the tokens that its own pass scores (m and m - 1);
    `same_tokens` takes both over the tokens that both passes score, which is exp(mean Delta).
    """
    if same_tokens:
        return np.asarray(np.exp(differences(losses).mean(axis=1, dtype=np.float64)))
    conditional = losses.conditional.mean(axis=1, dtype=np.float64)
    return np.asarray(np.exp(conditional - losses.alone.mean(axis=1, dtype=np.float64)))


class Selective(NamedTuple):
    """S-IFD of one row's copies, float64 [N], and how many tokens each is made of, int64 [N]."""

    values: FloatArray
    num_kept: npt.NDArray[np.int64]


def selective_ifd(delta: npt.NDArray[np.float32], threshold: np.float64) -> Selective:
    """exp of the mean Delta over tokens with |Delta| strictly above the threshold (paper, sec. 3.1).

    A copy with no such token gets exp(0) = 1, as in the authors' code. Float32 is compared with a
    float64 threshold, unrounded.
    """
    kept = np.abs(delta).astype(np.float64) > threshold
    num_kept = kept.sum(axis=1)
    total = np.where(kept, delta, np.float32(0)).sum(axis=1, dtype=np.float64)
    return Selective(np.exp(total / np.maximum(num_kept, 1)), num_kept)


def without_empty(selective: Selective) -> FloatArray:
    """S-IFD per copy, NaN where nothing was kept; all NaN when that is more than half of the copies."""
    empty = selective.num_kept == 0
    if 2 * int(empty.sum()) > len(empty):
        return np.full(len(empty), np.nan)
    return np.where(empty, np.nan, selective.values)


def spread(values: FloatArray) -> tuple[float, float]:
    """Mean and population standard deviation over the copies that have a value; NaN when none has."""
    present = values[~np.isnan(values)]
    if not len(present):
        return float("nan"), float("nan")
    return float(present.mean()), float(present.std())
