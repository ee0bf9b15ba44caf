"""The selector `facility-location`: rows such that every row of the pool has a chosen one like it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, param
from sftbench_plugins.geometry.reading import Eligible, Positions, Vectors

if TYPE_CHECKING:
    from sftbench_plugins.geometry.distances import Kind


@dataclass(frozen=True, kw_only=True)
class FacilityLocation:
    """Facility location on embeddings: maximise the sum over rows i of max over chosen c of similarity(i, c).

    Greedy, so at least 1 - 1/e of the best choice, and lazy, so that few gains are made anew; the rows are those
    of plain greedy. Similarity is a largest distance minus the distance: 2 - |x - y| (`euclidean`), 1 + x.y
    (`cosine`), or, in mode `official`, exp(-|x - y| / d), which Superfiltering (arXiv 2402.00530) gets from its
    package for submodular functions. Beyond `exact_rows` rows a similarity below that of a row's
    `num_neighbors`-th neighbour found counts as that much.
    """

    name: ClassVar[str] = "facility-location"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "'official' takes Superfiltering's similarity")
    component: Literal["instruction", "response", "both"] = param(
        "both", "what is embedded: instruction, response or both"
    )
    similarity: Literal["euclidean", "cosine"] = param("euclidean", "2 - distance or 1 + cosine, in mode paper")
    exact_rows: int = param(200_000, "up to so many distinct rows every similarity counts")
    num_neighbors: int | None = param(
        None,
        "neighbours of a row that count in larger pools; none takes four for each row that a chosen one stands for",
    )

    def __post_init__(self) -> None:
        if self.exact_rows < 0 or (self.num_neighbors is not None and self.num_neighbors < 2):
            raise ValueError("exact_rows is at least 0 and num_neighbors at least 2")

    def needs(self) -> Needs:
        return Needs(embeddings=(self.component,))

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows in the order taken; a row's score is its gain, the similarity that it adds to the sum.

        A row without a number in `scores` (if given) is left out; they are not read otherwise. Rows whose
        embedding is taken already gain nothing and come last, in the order of the pool.
        """
        eligible = Eligible.of(pool, desk.embedded(self.component), self.component, scores, allowance)
        if not len(eligible.rows):
            return Selection(ids=(), status="short", report=eligible.report)
        search = _Search(self, eligible.vectors, share=allowance.num_rows / len(pool))
        taken, gains = eligible.take(search, allowance, desk)
        desk.meter(flops=search.flops)
        return Selection(
            ids=tuple(pool.ids[at] for at in eligible.rows[taken]),
            scores=np.array(gains[: len(taken)]),
            status="short" if eligible.is_short(taken, allowance) else "full",
            report={
                **eligible.report,
                **search.report,
                "num_without_gain": sum(each <= 0 for each in gains[: len(taken)]),
            },
        )


class _Search:
    """Lazy greedy over distinct vectors, then the rows that repeat one; exact or by neighbours."""

    def __init__(self, settings: FacilityLocation, vectors: Vectors, *, share: float) -> None:
        from sftbench_plugins.geometry.coverage import Coverage
        from sftbench_plugins.geometry.neighbors import NearCoverage

        self._num_rows = len(vectors)
        self._firsts, self._weights = distinct(vectors)
        points = vectors if len(self._firsts) == len(vectors) else vectors[self._firsts]
        self._kind: Kind = "exponential" if settings.mode == "official" else settings.similarity
        self._gains: Coverage | NearCoverage
        self._num_neighbors = 0
        if len(points) <= settings.exact_rows:
            self._gains = Coverage(points, self._kind, self._weights)
        else:
            self._num_neighbors = settings.num_neighbors or int(np.clip(4 / share, 32, 256))
            self._gains = NearCoverage(points, self._kind, self._weights, number=self._num_neighbors)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        from sftbench_plugins.geometry.coverage import lazy_greedy

        for at, gain in lazy_greedy(self._gains):
            yield int(self._firsts[at]), gain
        for row in np.setdiff1d(np.arange(self._num_rows), self._firsts).tolist():
            yield row, 0.0

    @property
    def flops(self) -> float:
        return self._gains.flops

    @property
    def report(self) -> dict[str, Json]:
        from sftbench_plugins.geometry.distances import FARTHEST
        from sftbench_plugins.geometry.neighbors import NearCoverage

        if isinstance(self._gains, NearCoverage):
            covered = self._gains.share_covered
            reached: dict[str, Json] = {"num_neighbors": self._num_neighbors, "share_covered": covered}
        else:
            similarity = FARTHEST[self._kind] - self._gains.nearest
            reached = {"mean_similarity": float(np.average(similarity, weights=self._weights))}
        return {"num_distinct": len(self._firsts), **reached}


def distinct(vectors: Vectors) -> tuple[Positions, Positions]:
    """Positions [m], rising, of the first of each group of equal vectors, and how many are in each group."""
    rows = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.itemsize * vectors.shape[1])))[:, 0]
    _, firsts, counts = np.unique(rows, return_index=True, return_counts=True)
    order = np.argsort(firsts)
    return firsts[order].astype(np.int64), counts[order].astype(np.int64)
