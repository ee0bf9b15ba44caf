"""Self-BLEU: how much each text repeats the others, by BLEU-4 against all of them, exactly and in linear time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import lengths_of, taken
from sftbench.diversity.grams import TOKENS_AT_ONCE, Grams, grams
from sftbench.diversity.measure import TOO_FEW, Bounds, Floats, Measure, joined_notes, mean_bounds
from sftbench.rooms import Ragged

MAX_N = 4
EPSILON = 1e-9
"""Stands for the matches of an order that has none."""
NUM_REFERENCES, NUM_HYPOTHESES = 500, 1000
Mask = npt.NDArray[np.bool_]


def self_bleu(corpus: Ragged, *, seed: int) -> list[Measure]:
    """Mean BLEU-4 of every text against all others, and of 1000 random texts against 500 others.

    The first saturates as a set grows, the second does not depend on its size. Empty texts are left out.
    With fewer than 1500 texts a third of them are the references. Bounds are for the choice of
    hypotheses, the references given.
    """
    filled = np.flatnonzero(lengths_of(corpus) > 0)
    texts = taken(corpus, filled)
    order = np.random.default_rng([seed, 5]).permutation(len(filled))
    num_references = min(NUM_REFERENCES, len(filled) // 3)
    chosen = order[: num_references + NUM_HYPOTHESES]
    everybody = np.ones(len(texts), dtype=np.bool_)
    is_reference = np.arange(len(chosen)) < num_references
    few = taken(texts, chosen)
    note = "" if num_references == NUM_REFERENCES else f"references: {num_references}"
    return [
        _measure("self-bleu", texts, everybody, everybody),
        _measure("self-bleu-500", few, is_reference, ~is_reference, note=note),
    ]


def _measure(name: str, texts: Ragged, is_reference: Mask, is_hypothesis: Mask, *, note: str = "") -> Measure:
    lengths = lengths_of(texts)
    n = int(is_hypothesis.sum())
    if n < 1 or int(is_reference.sum()) < 1 or len(texts) < 2:
        value, edges, note = math.nan, Bounds(), joined_notes(TOO_FEW, note)
    else:
        scores = bleu(texts, is_reference)[is_hypothesis]
        value, edges = float(scores.mean()), mean_bounds(scores)
    num_short = int((lengths[is_hypothesis] < MAX_N).sum())
    note = joined_notes(note, f"shorter_than_n: {num_short}" if num_short else "")
    return Measure(
        metric=name, value=value, unit="BLEU, 0 to 1", tokens=int(lengths.sum()), n=n, direction="down", note=note,
        **edges,
    )  # fmt: skip


def bleu(texts: Ragged, is_reference: Mask, *, tokens_at_once: int = TOKENS_AT_ONCE) -> Floats:
    """BLEU-4 of every text [n] against the references, itself left out where it is one.

    Precisions are clipped by the most that one reference has of an n-gram, weighted alike; the brevity
    penalty is by the reference nearest in length, the shorter of two equally near. For each n-gram the
    largest count, its owner and the next largest count suffice: nobody is compared with anybody.
    """
    matches, lengths = np.zeros((MAX_N, len(texts))), lengths_of(texts)
    for each in grams(texts, MAX_N, tokens_at_once=tokens_at_once):
        matches[each.n - 1] += _clipped_matches(each, is_reference)
    totals = np.maximum(lengths - np.arange(MAX_N)[:, None], 1)
    precisions = np.where(matches > 0, matches, EPSILON) / totals
    nearest = _nearest_lengths(lengths, is_reference)
    brevity = np.where(lengths >= nearest, 1.0, np.exp(1 - nearest / np.maximum(lengths, 1)))
    return np.asarray(brevity * np.exp(np.log(precisions).mean(axis=0)), dtype=np.float64)


def _clipped_matches(each: Grams, is_reference: Mask) -> Floats:
    """For every text, how many of its n-grams another text among the references has as well [n]."""
    keys, counts = np.unique(each.ids * len(is_reference) + each.rows, return_counts=True)
    kinds, rows = np.divmod(keys, len(is_reference))
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    offered = np.where(is_reference[rows], counts, 0)
    if not len(starts):
        return np.zeros(len(is_reference))
    most = np.maximum.reduceat(offered, starts)[kinds]
    has_most = offered == most
    is_sole = np.add.reduceat(has_most.astype(np.int64), starts)[kinds] == 1
    next_most = np.maximum.reduceat(np.where(has_most, 0, offered), starts)[kinds]
    # Whoever alone has the most is clipped by the others.
    limit = np.where(has_most & is_sole, next_most, most)
    matches = np.bincount(rows, weights=np.minimum(counts, limit), minlength=len(is_reference))
    return np.asarray(matches, dtype=np.float64)


def _nearest_lengths(lengths: npt.NDArray[np.int64], is_reference: Mask) -> Floats:
    """For every text the length of the reference that is nearest in length, itself left out [n]."""
    known, counts = np.unique(lengths[is_reference], return_counts=True)
    padded = np.concatenate([[-np.inf], known, [np.inf]])
    at = np.searchsorted(known, lengths)
    inside = np.minimum(at, len(known) - 1)
    is_known = known[inside] == lengths
    others = np.where(is_known, counts[inside] - is_reference, 0)
    # `at` points past the lengths below; where the own length is known, the ones above begin one later.
    below, above = padded[at], padded[at + 1 + is_known]
    nearest = np.where(lengths - below <= above - lengths, below, above)
    return np.where(others > 0, lengths, nearest)
