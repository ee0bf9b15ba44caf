"""The scorer `topics`: what each row is about, by clusters of embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Scores, param


@dataclass(frozen=True, kw_only=True)
class Topics:
    """How near a row is to the middle of its topic (cosine); the topics are columns.

    Topics are found as BERTopic finds them: UMAP of the embeddings, then HDBSCAN.
    """

    name: ClassVar[str] = "topics"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    component: Literal["instruction", "response"] = param("instruction", "side of the rows whose topic counts")
    reduction: Literal["umap", "pca"] = param(
        "umap", "UMAP and HDBSCAN, or, without umap-learn, 50 principal components and k-means on the sphere"
    )
    neighbours: int = param(15, "rows that UMAP takes for the neighbourhood of one")
    dimensions: int = param(5, "dimensions that UMAP leaves")
    min_topic_size: int | None = param(
        None, "rows that make a topic; none: 1 in 2,000, at least 10, fewer below 100 rows"
    )
    sample: int = param(150_000, "topics are found on at most this many rows; others go to the nearest")
    random_state: int = param(0, "seed of UMAP, k-means and the sample; apart from the seed of the run")

    def __post_init__(self) -> None:
        for name, least in (("neighbours", 2), ("dimensions", 1), ("sample", 1), ("random_state", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")
        if self.min_topic_size is not None and self.min_topic_size < 2:
            raise ValueError(f"min_topic_size is at least 2, not {self.min_topic_size}")

    def needs(self) -> Needs:
        return Needs(embeddings=(self.component,))

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Columns: `topic`, -1 for an outlier; `nearest_topic`, where outliers go to the nearest centre.

        A row without text has no topic and the reason `empty_component`. Topics are numbered by size.
        """
        from sftbench_plugins.m2m.topic_model import find_topics, nearest

        vectors = desk.embedded(self.component)
        empty, num_duplicates = _read(pool, self.component)
        finite = np.isfinite(vectors).all(axis=1)
        clean = vectors if finite.all() else np.nan_to_num(vectors, posinf=0.0, neginf=0.0)
        usable = np.flatnonzero(~empty & finite)
        sampled = usable
        if len(usable) > self.sample:
            drawn = np.random.default_rng(self.random_state).choice(len(usable), self.sample, replace=False)
            sampled = usable[np.sort(drawn)]
        size = self.min_topic_size or max(10, len(usable) // 2000)
        size = max(2, min(size, len(sampled) // 10))
        with desk.progress(len(pool), "row") as progress:
            found = find_topics(
                clean[sampled],
                reduction=self.reduction,
                neighbours=self.neighbours,
                dimensions=self.dimensions,
                min_topic_size=size,
                random_state=self.random_state,
            )
            nearest_topic, nearness = nearest(clean, found.centres)
            progress.advance(len(pool))
        topic = nearest_topic.copy()
        topic[sampled] = found.labels
        topic[~finite] = -1
        for column in (topic, nearest_topic):
            column[empty] = -1
        report: dict[str, Json] = {
            "component": self.component,
            "reduction": found.reduction,
            "min_topic_size": size,
            "num_topics": len(found.centres),
            "num_outliers": int((topic[~empty] < 0).sum()),
            "num_rows_beyond_sample": len(usable) - len(sampled),
            "num_duplicate_texts": num_duplicates,
        }
        return Scores(
            values=np.where(empty, np.nan, nearness),
            reasons={int(row): "empty_component" for row in np.flatnonzero(empty)},
            notes={int(row): "non_finite" for row in np.flatnonzero(~finite & ~empty)},
            columns={"topic": topic, "nearest_topic": nearest_topic},
            report=report,
        )


def _read(pool: Pool, component: Literal["instruction", "response"]) -> tuple[npt.NDArray[np.bool_], int]:
    """Which rows have no text on that side, bool [n], and how many texts stand there before."""
    empty: list[bool] = []
    seen: set[int] = set()
    for rows in pool.batches():
        texts = [row.text(component) for row in rows]
        empty += [not text.strip() for text in texts]
        seen.update(map(hash, texts))
    return np.array(empty, dtype=np.bool_), len(pool) - len(seen)
