"""What CaR takes: how many of the best rows, and which representatives of clusters beside them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_ROUNDING = 1 + 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Mix:
    """Rows to choose from: `values`, `labels` (of their clusters) and `costs`, each [m]; costs may add up to `cap`."""

    values: Floats
    labels: Rows
    costs: Floats
    cap: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixed:
    """`order` int64 [B], the first `num_by_score` by score alone; `num_repeats` representatives said nothing new."""

    order: Rows
    num_by_score: int
    num_repeats: int


def mixed(mix: Mix, *, num_top: int | None, num_each: int, texts: Sequence[Hashable] | None) -> Mixed:
    """The best `num_top` rows (None: as many as leave room for the rest), then the `num_each` best of each cluster.

    With `texts` (one per row) it is done as in the authors' code, which knows no ids: a representative is left out
    that says what a row before it says, and clusters come by falling number *as text*, 9 before 10.
    """
    ranked = ranking(mix.values)
    representatives = best_of_each(mix.labels, ranked, num_each)
    num_repeats = 0
    while True:
        number, kept = (num_top, representatives) if num_top is not None else _fitting(mix, ranked, representatives)
        order = _joined(ranked[:number], kept, mix.labels, as_text=texts is not None)
        number = min(number, len(ranked))
        repeats = order[_repeated(texts, order, start=number)]
        if not len(repeats):
            return Mixed(order=order, num_by_score=number, num_repeats=num_repeats)
        # What they leave free goes to rows by score, which may make others repeat.
        num_repeats += len(repeats)
        representatives = representatives[~np.isin(representatives, repeats)]


def ranking(values: Floats) -> Rows:
    """Positions by falling value, equals as they stand."""
    return np.argsort(-values, kind="stable")


def best_of_each(labels: Rows, ranked: Rows, num_each: int) -> Rows:
    """Of rows in this order the first `num_each` of each cluster, in this order."""
    seen = np.zeros(int(labels.max(initial=-1)) + 1, dtype=np.int64)
    best = np.zeros(len(ranked), dtype=np.bool_)
    for place, label in enumerate(labels[ranked].tolist()):
        best[place] = seen[label] < num_each
        seen[label] += 1
    return ranked[best]


def _fitting(mix: Mix, ranked: Rows, representatives: Rows) -> tuple[int, Rows]:
    """How many rows by score fit beside the representatives, and the best of these where not all fit themselves."""
    room = mix.cap * _ROUNDING
    kept = representatives[np.cumsum(mix.costs[representatives]) <= room]
    if len(kept) < len(representatives):
        return 0, kept
    left = room - float(mix.costs[kept].sum())
    more = np.where(np.isin(ranked, kept), 0.0, mix.costs[ranked])
    return int(np.searchsorted(np.cumsum(more), left, side="right")), kept


def _joined(top: Rows, representatives: Rows, labels: Rows, *, as_text: bool) -> Rows:
    """The top rows, then representatives that are not among them by falling cluster number, in each best first."""
    others = representatives[~np.isin(representatives, top)]
    numbers = labels[others].tolist()
    key = [str(number) for number in numbers] if as_text else numbers
    order = sorted(range(len(others)), key=lambda at: key[at], reverse=True)
    return np.concatenate([top, others[order]]).astype(np.int64)


def _repeated(texts: Sequence[Hashable] | None, order: Rows, *, start: int) -> npt.NDArray[np.bool_]:
    """Which places from `start` on hold a text that one before them holds."""
    found = np.zeros(len(order), dtype=np.bool_)
    if texts is None:
        return found
    seen: set[Hashable] = set()
    for place, row in enumerate(order.tolist()):
        found[place] = place >= start and texts[row] in seen
        seen.add(texts[row])
    return found
