"""Cells of points that lie in similar directions: centres by Lloyd's rounds, and the points of each."""

from __future__ import annotations

import numpy as np

from sftbench_plugins.geometry.reading import Positions, Vectors

_POINTS_PER_CENTRE = 64
"""Centres are found on so many points each."""
_ROUNDS = 10
_POINTS_AT_ONCE = 16384


def cells(vectors: Vectors, number: int) -> tuple[Vectors, list[Positions]]:
    """Unit centres [number, d], and for each the positions, rising, of the unit vectors [n, d] nearest to it.

    Nothing that is exact depends on which cells are found, and the same vectors give the same cells.
    """
    draw = np.random.default_rng(0)
    sample = vectors[np.sort(draw.choice(len(vectors), min(len(vectors), number * _POINTS_PER_CENTRE), replace=False))]
    centres = sample[draw.choice(len(sample), number, replace=False)]
    for _ in range(_ROUNDS):
        for cell, own in enumerate(_members(sample, centres)):
            total = sample[own].sum(axis=0)
            length = np.linalg.norm(total)
            if length > 0:
                centres[cell] = total / length
    return centres, _members(vectors, centres)


def _members(vectors: Vectors, centres: Vectors) -> list[Positions]:
    """The vectors whose largest cosine is with each centre; of equals the first."""
    labels = np.concatenate(
        [
            np.argmax(vectors[start : start + _POINTS_AT_ONCE] @ centres.T, axis=1)
            for start in range(0, len(vectors), _POINTS_AT_ONCE)
        ]
    )
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, len(centres))))
