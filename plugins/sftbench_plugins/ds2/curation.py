"""Which ratings disagree with those of their neighbours, and what they should be.

Source: DS2 (arXiv 2410.10877), sec. 4; UCSC-REAL/DS2 @ 8b2db16, `docta.core.knn` and `docta.apis.detect`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench_plugins.ds2.transition import NUM_CLASSES

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def votes(labels: Labels, distances: Singles) -> Singles:
    """Votes [s, 6] of the k nearest, labels and distances [s, k], each weighing 1 - d; L2-normalised.

    A row's own vote, the first, weighs 1 - (2 d_1 - d_2), as if it lay as far before the next as that
    before the one after it. Needs at least three neighbours.
    """
    weights = 1.0 - distances
    weights[:, 0] = 1.0 - (2.0 * distances[:, 1] - distances[:, 2])
    found = np.stack([(weights * (labels == each)).sum(1) for each in range(NUM_CLASSES)], axis=1)
    unit: Singles = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return unit.astype(np.float32)


def corruption(voted: Singles, labels: Labels) -> Singles:
    """-log(vote for the row's own label + 1e-8), [s]: high where neighbours say otherwise."""
    scores: Singles = -np.log(voted[np.arange(len(labels)), labels] + np.float32(1e-8))
    return scores


def flagged(scores: Singles, labels: Labels, rates: Floats) -> npt.NDArray[np.bool_]:
    """In every class the share of rows with the highest scores that its noise rate says; ties at the cut are in."""
    found = np.zeros(len(scores), dtype=np.bool_)
    for each in range(NUM_CLASSES):
        mine = labels == each
        if mine.any():
            found |= mine & (scores >= np.percentile(scores[mine], 100 * (1 - rates[each])))
    return found


@dataclass(kw_only=True, eq=False)
class Tally:
    """Over many samples: how often each row was in one, how often flagged, and as what its neighbours see it."""

    sampled: Floats
    flagged: Floats
    suggested: Floats

    @classmethod
    def empty(cls, num_rows: int) -> Tally:
        """No sample yet."""
        return cls(sampled=np.zeros(num_rows), flagged=np.zeros(num_rows), suggested=np.zeros((num_rows, NUM_CLASSES)))

    def add(self, rows: Labels, is_flagged: npt.NDArray[np.bool_], suggestions: Labels) -> None:
        """One sample: its rows [s] (a row that stands in it twice counts once), flags [s], likeliest classes [s]."""
        bad = rows[is_flagged]
        self.sampled[np.unique(rows)] += 1
        self.flagged[np.unique(bad)] += 1
        pairs = np.unique(np.stack([bad, suggestions[is_flagged]]), axis=1)
        self.suggested[pairs[0], pairs[1]] += 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Curated:
    """`ratings` int64 [n] after correction; `noisy` and `confidence` [n]; `suggestion` [n]; `is_flagged` bool [n]."""

    ratings: Labels
    noisy: Floats
    is_flagged: npt.NDArray[np.bool_]
    suggestion: Labels
    confidence: Floats


def decide(tally: Tally, ratings: Labels, *, least_confidence: float) -> Curated:
    """A rating is replaced where the row is mostly flagged and one other class is suggested surely enough.

    Confidence is the smoothed share of flags times the smoothed share of the suggestion, own class left out.
    """
    noisy = (tally.flagged + 1) / (tally.sampled + 2)
    is_flagged = noisy > 0.5
    shares = (tally.suggested + 1) / (tally.suggested.sum(1, keepdims=True) + NUM_CLASSES)
    shares[np.arange(len(ratings)), ratings] = -1
    suggestion = shares.argmax(1).astype(np.int64)
    confidence = shares.max(1) * noisy
    replaced = is_flagged & (confidence >= least_confidence)
    return Curated(
        ratings=np.where(replaced, suggestion, ratings),
        noisy=noisy,
        is_flagged=is_flagged,
        suggestion=suggestion,
        confidence=confidence,
    )


def long_tail(distances: Singles, *, rounded: bool) -> Floats:
    """2 / (1 + exp(-mean distance)) - 1 over the nearest [n, k], [n]; to four decimals as the authors' code has it."""
    scores: Floats = 2 / (1 + np.exp(-distances.mean(1).astype(np.float64))) - 1
    return np.round(scores, 4) if rounded else scores
