"""How hard rows are, from two passes of the base model, and the clusters that are the arms of the bandit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench import PassResult, Ragged

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Per row of the pool, float64 [n]: `losses`, mean cross-entropy of the response in nats, and `difficulty`.

    Difficulty is the loss given the instruction over the loss without it, at most 1 (the instruction does not help).
    Both are NaN for a row that is never drawn, with its reason; `single` marks rows judged by one token.
    """

    losses: Values
    difficulty: Values
    reasons: Mapping[int, str]
    single: npt.NDArray[np.bool_]


def judged(conditional: PassResult, alone: PassResult) -> Judged:
    """From passes over a pool. A row whose difficulty is undefined counts as of the middle."""
    losses, counts = _means(conditional.values)
    # The same tokens in both means: alone, the first may have nothing before it.
    known = np.isfinite(alone.values.values) & np.isfinite(conditional.values.values)
    given, _ = _means(conditional.values, known)
    without, _ = _means(alone.values, known)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.minimum(given / without, 1.0)
    usable = np.isfinite(losses)
    undefined = usable & ~np.isfinite(ratio)
    middle = np.median(ratio[np.isfinite(ratio)]) if np.isfinite(ratio).any() else 1.0
    reasons = {int(row): conditional.reasons.get(int(row), "non_finite") for row in np.flatnonzero(~usable)}
    return Judged(
        losses=losses,
        difficulty=np.where(usable, np.where(undefined, middle, ratio), np.nan),
        reasons=reasons,
        single=usable & (counts == 1),
    )


def clusters_of(difficulty: Values, number: int, *, seed: int) -> list[npt.NDArray[np.int64]]:
    """Rows by k-means on their difficulty, easiest cluster first, none empty; fewer where fewer values differ."""
    from sklearn.cluster import KMeans

    rows = np.flatnonzero(np.isfinite(difficulty))
    values = difficulty[rows]
    distinct = np.unique(values)
    number = min(number, len(distinct))
    if number < 2:
        return [rows] if len(rows) else []
    means = KMeans(number, n_init=10, random_state=seed).fit(values[:, None])
    easiest_first = np.argsort(np.argsort(means.cluster_centers_[:, 0]))
    labels = easiest_first[means.labels_]
    found = [rows[labels == each] for each in range(number)]
    return [each for each in found if len(each)]


def _means(values: Ragged, among: npt.NDArray[np.bool_] | None = None) -> tuple[Values, npt.NDArray[np.int64]]:
    """Mean of each list over what is finite, or with `among` marked; NaN for none. And how many that were."""
    counted = np.isfinite(values.values) if among is None else among
    of_row = np.repeat(np.arange(len(values)), np.diff(values.offsets))
    counts = np.bincount(of_row[counted], minlength=len(values))
    sums = np.bincount(of_row[counted], weights=values.values[counted].astype(np.float64), minlength=len(values))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts
