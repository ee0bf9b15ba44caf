"""From the probabilities of rating digits to a score: token, sentence and model level (arXiv 2402.16705, sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mode = Literal["paper", "official"]
OFFICIAL_WEIGHTS = (7 / 20, 13 / 20, 70 / 90)
"""As the authors' code has them: mixed denominators, sum 1.778."""
LEAST_PROMPTS = 3


def token_level(probs: Floats, mode: Mode) -> Floats:
    """The likeliest rating times the mean gap between its share and the others: [..., S] -> [...].

    Shares are the digits' probabilities brought to sum 1 (`paper`), or the softmax of those shares
    (`official`, SelectIT @ 4813250). Range 0..S, and 0..S (e - 1)/(e + S - 1). NaN without any mass.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = probs / probs.sum(-1, keepdims=True)
        if mode == "official":
            powers = np.exp(shares)
            shares = powers / powers.sum(-1, keepdims=True)
        best = shares.max(-1, keepdims=True)
        gap = (best - shares).sum(-1) / (probs.shape[-1] - 1)
        scores: Floats = (shares.argmax(-1) + 1) * gap
    return scores


def sentence_level(token_scores: Floats, alpha: float) -> Floats:
    """mean / (1 + alpha * std) over prompts: [..., K] -> [...], population std; NaN stands for a prompt that failed.

    NaN as well where fewer than three prompts (of less than three: not all) are left.
    """
    valid = np.isfinite(token_scores)
    count = valid.sum(-1)
    enough = count >= min(LEAST_PROMPTS, token_scores.shape[-1])
    kept = np.where(valid, token_scores, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = kept.sum(-1) / count
        variance = (np.where(valid, token_scores - mean[..., None], 0.0) ** 2).sum(-1) / count
        scores: Floats = mean / (1 + alpha * np.sqrt(variance))
    return np.where(enough, scores, np.nan)


def model_level(sentence_scores: Floats, weights: Sequence[float]) -> Floats:
    """Weighted sum over models: [n, M] -> [n]; NaN where a model has no score."""
    # In the order of the models, as a person would add them: matrix products may round otherwise.
    total = np.zeros(len(sentence_scores))
    for scores, weight in zip(sentence_scores.T, weights, strict=True):
        total = total + scores * weight
    return total


def weights_by_size(num_parameters: Sequence[int]) -> list[float]:
    """Each model by its share of all parameters."""
    return [number / sum(num_parameters) for number in num_parameters]
