"""KL(real || generated): how far the rows stand from real ones, by counts of tokens and by embeddings.

The estimator of arXiv 2506.19262 is not known; these are two of our three (the third: `shift_lm`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import joined, lengths_of
from sftbench.diversity.grams import grams
from sftbench.diversity.measure import (
    TOO_FEW,
    Bounds,
    Floats,
    Measure,
    groups_of,
    jackknife_bounds,
    joined_notes,
    mean_bounds,
)
from sftbench.rooms import Ragged

SMOOTHING = 0.5
NEIGHBOUR = 5
NUM_COMPONENTS = 32
MOST_ROWS = 50_000
_BLOCK = 256
Vectors = npt.NDArray[np.floating]


def divergence_of_counts(real: Ragged, generated: Ragged, *, seed: int) -> list[Measure]:
    """KL in nats between the token unigrams, and between the bigrams, of two corpora.

    0.5 is added to the count of every kind that occurs in either. With counts this sparse the value is
    above 0 for two samples of one source, too; hold it against the halves of the real rows.
    """
    both = joined(real, generated)
    groups = np.concatenate([groups_of(len(each), seed=seed) for each in (real, generated)])
    num_groups = int(groups.max(initial=0)) + 1
    side = np.arange(len(both)) >= len(real)
    found: dict[int, list[npt.NDArray[np.int32]]] = {1: [], 2: []}
    for each in grams(both, 2):
        cells = (each.ids * 2 + side[each.rows]) * num_groups + groups[each.rows]
        counts = np.bincount(cells, minlength=each.num_kinds * 2 * num_groups)
        found[each.n].append(counts.reshape(each.num_kinds, 2, num_groups).astype(np.int32))
    return [_of_counts(name, np.concatenate(found[n]), generated) for n, name in ((1, "unigram"), (2, "bigram"))]


def _of_counts(name: str, counts: npt.NDArray[np.int32], generated: Ragged) -> Measure:
    """`counts` [V, 2, G]: of each kind in the real and the generated rows, by group of rows."""
    whole = counts.sum(axis=2, dtype=np.int64)
    value, edges = math.nan, Bounds()
    if (whole.sum(axis=0) > 0).all():
        value = smoothed_divergence(whole[:, 0], whole[:, 1])
        without = [whole - counts[:, :, group] for group in range(counts.shape[2])]
        edges = jackknife_bounds(value, np.array([smoothed_divergence(each[:, 0], each[:, 1]) for each in without]))
    return Measure(
        metric=f"kl-{name}", value=value, unit="nats", tokens=len(generated.values),
        n=int((lengths_of(generated) > 0).sum()), direction="shift", note="" if math.isfinite(value) else TOO_FEW,
        **edges,
    )  # fmt: skip


def smoothed_divergence(real: npt.NDArray[np.int64], generated: npt.NDArray[np.int64]) -> float:
    """KL(real || generated) in nats of two counts [V] over the kinds that occur in either, each plus 0.5."""
    union = (real > 0) | (generated > 0)
    p, q = real[union] + SMOOTHING, generated[union] + SMOOTHING
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def divergence_of_embeddings(real: Vectors, generated: Vectors, *, tokens: int, seed: int) -> Measure:
    """KL in nats from distances to the fifth nearest neighbour, after PCA of all rows to 32 dimensions.

    d / n sum_i log(nu_i / rho_i) + log(m / (n - 1)) with n real and m generated rows, rho among the real
    rows and nu to the generated ones (Wang, Kulkarni and Verdú 2009). A real row for which either distance
    is 0, since its text stands in the set that often, has no logarithm: it is left out and counted. The
    two sides must be different rows: how many real ones stand among the generated is in the note. Above
    50,000 rows a side is a random part of it.
    """
    finite = [each[np.isfinite(each).all(axis=1)].astype(np.float64) for each in (real, generated)]
    dropped = len(real) + len(generated) - len(finite[0]) - len(finite[1])
    note = f"non_finite: {dropped}" if dropped else ""
    kept = [_at_most(each, generator) for each, generator in zip(finite, _generators(seed), strict=True)]
    n, m = len(kept[0]), len(kept[1])
    if n <= NEIGHBOUR or m < NEIGHBOUR + 1:
        return _neighbours_measure(math.nan, Bounds(), tokens, m, joined_notes(TOO_FEW, note))
    reduced = principal_components(np.concatenate(kept), min(NUM_COMPONENTS, n - 1, m - 1))
    if reduced.shape[1] < NUM_COMPONENTS:
        note = joined_notes(note, f"dimensions: {reduced.shape[1]}")
    rho = nearest_distances(reduced[:n], reduced[:n], NEIGHBOUR + 1)[:, -1]
    to_generated = nearest_distances(reduced[:n], reduced[n:], NEIGHBOUR)
    nu, num_shared = to_generated[:, -1], int((to_generated[:, 0] == 0).sum())
    if num_shared:
        note = joined_notes(note, f"in_both: {num_shared}")
    usable = (rho > 0) & (nu > 0)
    if not usable.all():
        note = joined_notes(note, f"zero_distance: {int((~usable).sum())}")
    if usable.sum() < 2:
        return _neighbours_measure(math.nan, Bounds(), tokens, m, joined_notes(TOO_FEW, note))
    terms = reduced.shape[1] * np.log(nu[usable] / rho[usable]) + math.log(m / (n - 1))
    return _neighbours_measure(float(terms.mean()), mean_bounds(terms), tokens, m, note)


def _neighbours_measure(value: float, edges: Bounds, tokens: int, n: int, note: str) -> Measure:
    return Measure(
        metric="kl-neighbours", value=value, unit="nats", tokens=tokens, n=n, direction="shift", note=note, **edges
    )


def _generators(seed: int) -> list[np.random.Generator]:
    return np.random.default_rng([seed, 6]).spawn(2)


def _at_most(vectors: Floats, generator: np.random.Generator) -> Floats:
    return vectors if len(vectors) <= MOST_ROWS else vectors[generator.permutation(len(vectors))[:MOST_ROWS]]


def principal_components(vectors: Floats, count: int) -> Floats:
    """Coordinates [n, count] along the directions of largest variance."""
    centred = vectors - vectors.mean(axis=0)
    count = min(count, centred.shape[1])
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(centred @ directions[:, ::-1][:, :count])


def nearest_distances(points: Floats, others: Floats, k: int) -> Floats:
    """Distances [n, k] of each point to its k nearest of the others, nearest first, exactly 0 for equals.

    A point that is among the others is its own nearest.
    """
    squares = np.einsum("nd,nd->n", others, others)
    found = np.empty((len(points), k))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        near = np.argpartition(squares - 2 * (block @ others.T), k - 1, axis=1)[:, :k]
        # Products lose what is left between near points; of the k nearest the differences are taken.
        found[start : start + _BLOCK] = np.sort(np.linalg.norm(others[near] - block[:, None], axis=2), axis=1)
    return found
