"""ED: the mean distance between the embeddings of two texts (arXiv 2505.24768, Table 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench.diversity.measure import TOO_FEW, Bounds, Floats, Measure, bounds, joined_notes

Vectors = npt.NDArray[np.float32]
EXACT_ROWS = 50_000
NUM_PAIRS = 1_000_000
_BLOCK = 256


def embedding_distance(
    vectors: Vectors, *, tokens: int, seed: int, mode: Literal["paper", "paper_literal"] = "paper"
) -> Measure:
    """Mean Euclidean distance over all ordered pairs of rows; `vectors` float32 [n, d], empty texts left out.

    Exact up to 50,000 rows, with bounds by the jackknife of a mean over pairs; above, the mean of a
    million random pairs, with bounds from these alone. Rows with a vector that is not finite are left out
    and counted. `paper_literal` divides the sum by n, as the paper prints it, which is no mean.
    """
    finite = np.isfinite(vectors).all(axis=1)
    note = f"non_finite: {int((~finite).sum())}" if not finite.all() else ""
    kept = vectors[finite]
    n = len(kept)
    value, edges = math.nan, Bounds()
    if n < 2:
        note = joined_notes(TOO_FEW, note)
    elif n <= EXACT_ROWS:
        value, edges = _exact(kept)
    else:
        value, edges = _sampled(kept, seed=seed)
        note = joined_notes(note, f"random_pairs: {NUM_PAIRS}")
    measure = Measure(
        metric="embedding-distance", value=value, unit="distance", tokens=tokens, n=n, direction="up", note=note,
        **edges,
    )  # fmt: skip
    if mode == "paper":
        return measure
    return replace(
        measure, value=value * (n - 1), ci_lo=measure.ci_lo * (n - 1), ci_hi=measure.ci_hi * (n - 1)
    )  # fmt: skip


def mean_distances(vectors: Vectors) -> Floats:
    """The mean distance of each row to all others, float64 [n]."""
    sums = [np.sqrt(block).sum(axis=1, dtype=np.float64) for block in squared_distances(vectors)]
    return np.concatenate(sums) / (len(vectors) - 1)


def squared_distances(vectors: Vectors) -> Iterator[Vectors]:
    """Squared distances of all rows to all rows, [256, n] at a time, by matrix products."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        squared = squares[start : start + _BLOCK, None] + squares - 2 * (block @ vectors.T)
        # A row is at distance 0 from itself, whatever rounding makes of it.
        squared[np.arange(len(block)), start + np.arange(len(block))] = 0
        yield np.maximum(squared, 0)


def _exact(vectors: Vectors) -> tuple[float, Bounds]:
    means = mean_distances(vectors)
    value, n = float(means.mean()), len(vectors)
    if n < 3:
        return value, {}
    spread = float(((means - value) ** 2).sum())
    return value, bounds(value, math.sqrt(4 * (n - 1) / (n * (n - 2) ** 2) * spread), freedom=n - 1)


def _sampled(vectors: Vectors, *, seed: int) -> tuple[float, Bounds]:
    draw = np.random.default_rng([seed, 4])
    first = draw.integers(0, len(vectors), NUM_PAIRS)
    second = (first + draw.integers(1, len(vectors), NUM_PAIRS)) % len(vectors)
    found = np.empty(NUM_PAIRS)
    for start in range(0, NUM_PAIRS, 40 * _BLOCK):
        part = slice(start, start + 40 * _BLOCK)
        found[part] = np.linalg.norm(vectors[first[part]] - vectors[second[part]], axis=1)
    value = float(found.mean())
    return value, bounds(value, float(found.std(ddof=1)) / math.sqrt(NUM_PAIRS))
