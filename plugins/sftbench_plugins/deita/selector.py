"""The selector `repr-filter`: best scores first, without rows whose embedding is too like that of a row taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, param
from sftbench_plugins.allowances import is_short

if TYPE_CHECKING:
    from sftbench import Encoded, Passage

Vectors = npt.NDArray[np.float32]
STAND_IN = "scoring"


@dataclass(frozen=True, kw_only=True)
class ReprFilter:
    """Rows by falling score, each left out if its cosine similarity to a row taken is above a threshold.

    Source: Deita (arXiv 2312.15685), sec. 3.4, and hkust-nlp/deita @ b279f2c. Without scores the order is
    the pool's. Equal scores keep the order of the pool.
    """

    name: ClassVar[str] = "repr-filter"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "'official' knows batches, in which rejected rows reject too")
    threshold: float = param(0.9, "cosine similarity above which a row is too like one that was taken")
    batch: int = param(1, "rows compared at once, mode official; above 1 the result is not the greedy one")
    vectors: Literal["embedder", "last-token"] = param(
        "embedder", "the run's embedder, or a language model's last state at the last token of a row"
    )
    embedding_model: str = param(STAND_IN, "folder of the model for vectors=last-token; 'scoring' is the run's")
    max_length: int = param(2048, "tokens of a row that vectors=last-token reads")

    def __post_init__(self) -> None:
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold is a cosine similarity from -1 to 1, not {self.threshold:g}")
        if self.batch < 1 or self.max_length < 1:
            raise ValueError("batch and max_length are at least 1")
        if self.mode == "paper" and self.batch > 1:
            raise ValueError("batches above 1 are a trait of the authors' code: mode=official")
        if self.vectors == "embedder" and self.embedding_model != STAND_IN:
            raise ValueError("embedding_model goes with vectors=last-token; the embedder is the run's")

    @property
    def passes_over_pool(self) -> float:
        """One over every row where a language model makes the vectors."""
        return 1.0 if self.vectors == "last-token" else 0.0

    def needs(self) -> Needs:
        if self.vectors == "embedder":
            return Needs(embeddings=("both",))
        if self.embedding_model == STAND_IN:
            return Needs(language_models=("scoring",))
        return Needs(foreign_models={"embedding": self.embedding_model})

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows that have a finite score and vector, until the allowance is used or the pool is at its end."""
        from sftbench_plugins.deita.similar import Filter

        vectors = desk.embedded("both") if self.vectors == "embedder" else self._last_states(pool, desk)
        values = np.zeros(len(pool)) if scores is None else scores.values
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(vectors, axis=1)
        usable = np.isfinite(lengths) & (lengths > 0)
        eligible = np.flatnonzero(np.isfinite(values) & usable)
        order = eligible[np.argsort(-values[eligible], kind="stable")]
        filtering = Filter(vectors=vectors, threshold=self.threshold, batch=self.batch)
        found = filtering.run(order, costs=allowance.row_costs, cap=allowance.cap)
        desk.meter(flops=2.0 * found.num_products * vectors.shape[1])
        chosen = allowance.fit(found.taken)
        report: dict[str, Json] = {
            "order": "pool" if scores is None else "score",
            "num_eligible": len(eligible),
            "num_without_score": int((~np.isfinite(values)).sum()),
            "num_without_vector": int((~usable).sum()),
            "num_scanned": found.num_scanned,
            "num_rejected": found.num_rejected,
            "num_rejected_as_same": found.num_same,
            "last_score": float(values[chosen[-1]]) if len(chosen) and scores is not None else None,
        }
        # Whatever was left out besides was like a row taken, and no budget would have bought it.
        short = found.num_scanned == len(order) and is_short(allowance, chosen, len(found.taken))
        return Selection(
            ids=tuple(pool.ids[at] for at in chosen),
            scores=None if scores is None else values[chosen],
            status="short" if short else "full",
            report=report,
        )

    def _last_states(self, pool: Pool, desk: Desk) -> Vectors:
        """States [n, d] at the last token of every row in the training form; NaN for a row without tokens."""
        from sftbench import encode_rows

        role = STAND_IN if self.embedding_model == STAND_IN else "embedding"
        model = desk.language_model(role, dtype="float32")
        limit = min(self.max_length, model.max_length)
        made, start = np.full((len(pool), model.width), np.nan, dtype=np.float32), 0

        with desk.progress(len(pool), "row") as progress:
            for rows in pool.batches():
                encoded = list(encode_rows(rows, model.tokenizer, max_length=limit))
                places = [start + at for at, each in enumerate(encoded) if len(each.token_ids)]
                last = (_last_token(encoded[place - start]) for place in places)
                for place, states in zip(places, model.hidden_states(last, layer=None), strict=True):
                    made[place] = states[0]
                start += len(rows)
                progress.advance(len(rows))
        return made


def _last_token(encoded: Encoded) -> Passage:
    from sftbench import Passage

    count = len(encoded.token_ids)
    return Passage(token_ids=encoded.token_ids, scored=np.arange(count) == count - 1)
