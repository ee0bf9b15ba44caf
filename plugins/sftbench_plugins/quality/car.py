"""The selector `car`: the best rows, and the best of every cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Message, Needs, Pool, Scores, Selection, UsageError, param

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Car:
    """Clustering and ranking (arXiv 2402.18191): top rows by score, with the top rows of each cluster.

    See the README beside this file.
    """

    name: ClassVar[str] = "car"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param(
        "paper", "official: representatives in the order of their cluster's number as text, as the authors' code does"
    )
    n1: int | None = param(None, "rows taken by score alone; none: what the budget leaves beside representatives")
    n2: int = param(1, "representatives of each cluster, its best rows")
    k: int | None = param(None, "clusters; none: the root of half the rows")
    variance: float = param(0.95, "share of the variance of the embeddings that principal components keep")
    random_state: int = param(42, "seed of both, as the authors have it; apart from the seed of the run")

    def __post_init__(self) -> None:
        for name, least in (("n1", 0), ("n2", 0), ("k", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        if not 0 < self.variance < 1:
            raise ValueError(f"variance is a share between 0 and 1, not {self.variance:g}")

    def needs(self) -> Needs:
        return Needs(embeddings=("both",))

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Raises `UsageError` without scores."""
        from sftbench_plugins.quality.clusters import cluster, default_num_clusters

        if scores is None:
            raise UsageError("selector 'car' ranks by scores; a method that uses it has the scorer 'quality'")
        vectors = desk.embedded("both")
        length = np.linalg.norm(vectors, axis=1)
        placed = np.isfinite(length) & (length > 0)
        trainable = desk.training_tokens() > 0
        rows = np.flatnonzero(np.isfinite(scores.values) & placed & trainable)
        number = self.k or default_num_clusters(len(rows))
        found = cluster(vectors[rows], num_clusters=number, variance=self.variance, random_state=self.random_state)
        ranked, representatives = ranking(scores.values[rows], found.labels, num_each=self.n2)
        costs = allowance.row_costs[rows]
        num_top = self.n1
        if num_top is None:
            num_top, representatives = fitting(ranked, representatives, costs, allowance.cap)
        order = combined(ranked[:num_top], representatives, found.labels, as_text=self.mode == "official")
        num_by_score = min(num_top, len(ranked))
        if self.mode == "official":
            order = order[~repeated(pool, rows[order], start=num_by_score)]
        chosen = allowance.fit(rows[order])
        num_by_score = min(num_by_score, len(chosen))
        is_short = len(chosen) == len(order) and allowance.pays_for_more(chosen)
        return Selection(
            ids=tuple(pool.ids[row] for row in chosen),
            scores=scores.values[chosen],
            status="short" if is_short else "full",
            report={
                "num_by_score": num_by_score,
                "num_from_clusters": len(chosen) - num_by_score,
                "num_clusters": int(found.labels.max(initial=-1)) + 1,
                "num_clusters_covered": len(np.unique(found.labels[order[: len(chosen)]])),
                "num_components": found.num_components,
                "num_rows": {
                    "eligible": len(rows),
                    "unscored": int((~np.isfinite(scores.values)).sum()),
                    "non_finite_embedding": int((~np.isfinite(length)).sum()),
                    "zero_norm_embedding": int((length == 0).sum()),
                    "nothing_to_train": int((~trainable).sum()),
                },
            },
        )


def ranking(values: npt.NDArray[np.float64], labels: Rows, *, num_each: int) -> tuple[Rows, Rows]:
    """All rows by score, best first (equals as in the pool), and of these the `num_each` best of each cluster."""
    ranked = np.argsort(-values, kind="stable")
    seen = np.zeros(int(labels.max(initial=-1)) + 1, dtype=np.int64)
    best = np.zeros(len(ranked), dtype=np.bool_)
    for place, label in enumerate(labels[ranked].tolist()):
        best[place] = seen[label] < num_each
        seen[label] += 1
    return ranked, ranked[best]


def fitting(ranked: Rows, representatives: Rows, costs: npt.NDArray[np.float64], cap: float) -> tuple[int, Rows]:
    """How many rows by score fit beside the representatives, and the best of these where not all fit themselves."""
    room = cap * (1 + 1e-12)
    kept = representatives[np.cumsum(costs[representatives]) <= room]
    left = room - float(costs[kept].sum())
    if len(kept) < len(representatives):
        return 0, kept
    paid = np.isin(ranked, kept)
    return int(np.searchsorted(np.cumsum(np.where(paid, 0.0, costs[ranked])), left, side="right")), kept


def repeated(pool: Pool, rows: Rows, *, start: int) -> npt.NDArray[np.bool_]:
    """Which rows from place `start` on say word for word what one before them says: the authors' code knows no ids."""
    seen: set[tuple[Message, ...]] = set()
    found = np.zeros(len(rows), dtype=np.bool_)
    for place, row in enumerate(pool.take(rows)):
        found[place] = place >= start and row.messages in seen
        seen.add(row.messages)
    return found


def combined(top: Rows, representatives: Rows, labels: Rows, *, as_text: bool) -> Rows:
    """The top rows, then representatives that are not among them by falling cluster number, in each best first.

    `as_text` compares the numbers as texts, so that 9 comes before 10.
    """
    others = representatives[~np.isin(representatives, top)]
    numbers = labels[others].tolist()
    key = [str(number) for number in numbers] if as_text else numbers
    order = sorted(range(len(others)), key=lambda at: key[at], reverse=True)
    return np.concatenate([top, others[order]]).astype(np.int64)
