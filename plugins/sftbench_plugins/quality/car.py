"""The selector `car`: the best rows, and the best of every cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.quality.mixing import Mix, mixed, ranking

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class Car:
    """Clustering and ranking (arXiv 2402.18191): top rows by score, with the top rows of each cluster.

    See the README beside this file.
    """

    name: ClassVar[str] = "car"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param(
        "paper", "official: texts, order of rows, clusters and repeats as in the authors' code; see the README"
    )
    n1: int | None = param(None, "rows taken by score alone; none: what the budget leaves beside representatives")
    n2: int = param(1, "representatives of each cluster, its best rows")
    k: int | None = param(None, "clusters; none: the root of half the rows")
    turns: Literal["first", "last", "all"] = param("all", "exchanges of a conversation that are embedded")
    clustered: Literal["auto", "pool", "score"] = param(
        "auto", "order of rows in clustering, where k-means begins by it; auto: as in the pool, official: by score"
    )
    variance: float = param(0.95, "share of the variance of the embeddings that principal components keep")
    random_state: int = param(42, "seed of both, as the authors have it; apart from the seed of the run")

    def __post_init__(self) -> None:
        for name, least in (("n1", 0), ("n2", 0), ("k", 1), ("random_state", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        if self.n1 == 0 and self.n2 == 0:
            raise ValueError("with n1=0 and n2=0 nothing is taken")
        if not 0 < self.variance < 1:
            raise ValueError(f"variance is a share between 0 and 1, not {self.variance:g}")

    @property
    def is_labelled(self) -> bool:
        """Whether rows are embedded in a text of their own, and not in that which other methods share."""
        return self.mode == "official" or self.turns != "all"

    def needs(self) -> Needs:
        """Embeddings of whole rows."""
        return Needs(embedder=True) if self.is_labelled else Needs(embeddings=("both",))

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows by score, then representatives that are not among them. Raises `UsageError` without scores."""
        if scores is None:
            raise UsageError("selector 'car' ranks by scores; a method that uses it has the scorer 'quality'")
        vectors = self._embedded(pool, desk)
        reasons = _reasons(scores.values, vectors, desk)
        rows = np.flatnonzero(reasons == "")
        labels, report = self._labels(vectors[rows], scores.values[rows], desk)
        mix = mixed(
            Mix(values=scores.values[rows], labels=labels, costs=allowance.row_costs[rows], cap=allowance.cap),
            num_top=self.n1,
            num_each=self.n2,
            texts=_words(pool)[rows].tolist() if self.mode == "official" else None,
        )
        chosen = allowance.fit(rows[mix.order])
        taken = mix.order[: len(chosen)]
        is_short = len(chosen) == len(mix.order) and allowance.pays_for_more(chosen)
        num_by_score = min(mix.num_by_score, len(chosen))
        return Selection(
            ids=tuple(pool.ids[row] for row in chosen),
            scores=scores.values[chosen],
            status="short" if is_short else "full",
            report={
                "num_by_score": num_by_score,
                "num_from_clusters": len(chosen) - num_by_score,
                **report,
                "num_clusters_covered": len(np.unique(labels[taken])),
                "num_repeats_left_out": mix.num_repeats,
                "num_eligible": len(rows),
                "reasons": dict(Counter(reasons[reasons != ""].tolist())),
            },
        )

    def _embedded(self, pool: Pool, desk: Desk) -> npt.NDArray[np.float32]:
        """Embeddings [n, d]: shared ones, or of the text that the authors embed."""
        if not self.is_labelled:
            return desk.embedded("both")
        from sftbench_plugins.quality.texts import shown

        parts = []
        with desk.progress(len(pool), "row") as progress:
            for rows in pool.batches(_ROWS_AT_ONCE):
                parts.append(desk.embed([shown(row, "labelled", self.turns).first for row in rows]))
                progress.advance(len(rows))
        return np.concatenate(parts)

    def _labels(self, vectors: npt.NDArray[np.float32], values: Floats, desk: Desk) -> tuple[Rows, dict[str, Json]]:
        """The cluster of each of these rows, and what was done to find it."""
        from sftbench_plugins.quality.clusters import cluster, default_num_clusters

        by_score = self.clustered == "score" or (self.clustered == "auto" and self.mode == "official")
        order = ranking(values) if by_score else np.arange(len(values))
        number = self.k or default_num_clusters(len(values))
        found = cluster(vectors[order], num_clusters=number, variance=self.variance, random_state=self.random_state)
        desk.meter(flops=found.flops)
        labels = np.empty(len(values), dtype=np.int64)
        labels[order] = found.labels
        return labels, {"num_clusters": len(np.unique(labels)), "num_components": found.num_components}


def _reasons(values: Floats, vectors: npt.NDArray[np.float32], desk: Desk) -> npt.NDArray[np.object_]:
    """Why a row cannot be chosen; empty where it can."""
    length = np.linalg.norm(vectors, axis=1)
    reasons = np.full(len(values), "", dtype=object)
    reasons[desk.training_tokens() == 0] = "nothing_to_train"
    reasons[length == 0] = "zero_norm"
    reasons[~np.isfinite(length)] = "non_finite"
    reasons[~np.isfinite(values)] = "no_score"
    return reasons


def _words(pool: Pool) -> Rows:
    """A number [n] for what each row says word for word."""
    return np.fromiter((hash(row.messages) for row in pool), dtype=np.int64, count=len(pool))
