"""The step that looks for evaluation items in a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sftbench.arrays import load_arrays
from sftbench.bench import Bench, parent_pool
from sftbench.contamination.hits import Hits
from sftbench.contamination.nearest import Close, close_rows, in_blocks
from sftbench.contamination.runs import ItemsWanted, RunHits
from sftbench.rooms import Json, Pool

if TYPE_CHECKING:
    from sftbench.desk import WorkingDesk
    from sftbench.plan import Step

Payload = dict[str, Json]


def find_items(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """Rows of a pool that share runs of words with items, and, where the step has embeddings, those that lie close."""
    pool, items = parent_pool(step, bench), parent_pool(step, bench, "items")
    component: Any = step.identity["component"]
    wanted = ItemsWanted(items, num_words=int(step.number("num_words")), component=component)
    found = _by_words(wanted, pool, desk)
    close = _by_embedding(step, bench) if "embeddings" in step.parents else None
    hits = joined(found, close, wanted=wanted)
    hits.save(bench.work)
    words = hits.by_words
    return {
        "num_rows": len(pool),
        "num_items": len(items),
        "num_items_hit": len(np.unique(hits.items)),
        "num_items_hit_by_words": len(np.unique(hits.items[words])),
        "num_items_hit_by_embedding": len(np.unique(hits.items[np.isfinite(hits.cosines)])),
        "num_rows_hitting": len(np.unique(hits.rows)),
    }


def _by_words(wanted: ItemsWanted, pool: Pool, desk: WorkingDesk) -> RunHits:
    parts: list[RunHits] = []
    first = 0
    with desk.progress(len(pool), "row") as progress:
        for batch in pool.batches():
            parts.append(wanted.find(batch, first=first))
            first += len(batch)
            progress.advance(len(batch))
    return RunHits(
        rows=np.concatenate([each.rows for each in parts]),
        items=np.concatenate([each.items for each in parts]),
        runs=np.concatenate([each.runs for each in parts]),
        is_whole=np.concatenate([each.is_whole for each in parts]),
    )


def _by_embedding(step: Step, bench: Bench) -> Close:
    pool, items = (
        load_arrays(bench.store.folder_of(step.parents[role]) / "embeddings.safetensors")["embeddings"]
        for role in ("embeddings", "embeddings_of_items")
    )
    return close_rows(np.asarray(items), in_blocks(pool), threshold=step.number("cosine"))


def joined(found: RunHits, close: Close | None, *, wanted: ItemsWanted) -> Hits:
    """What words and embeddings found, each pair once, by item and row."""
    count = wanted.num_items
    if close is None:
        nothing, none = np.empty(0, np.int64), np.full(count, -1, dtype=np.int64)
        empty, unknown = np.empty(0, np.float32), np.full(count, np.nan, dtype=np.float32)
        close = Close(items=nothing, rows=nothing, cosines=empty, nearest=none, nearest_cosines=unknown)
    num_rows = 1 + max(found.rows.max(initial=0), close.rows.max(initial=0))
    by_words, by_embedding = found.items * num_rows + found.rows, close.items * num_rows + close.rows
    every = np.union1d(by_words, by_embedding)
    runs, is_whole = np.zeros(len(every), np.int64), np.zeros(len(every), np.bool_)
    cosines = np.full(len(every), np.nan, dtype=np.float32)
    at = np.searchsorted(every, by_words)
    runs[at], is_whole[at] = found.runs, found.is_whole
    cosines[np.searchsorted(every, by_embedding)] = close.cosines
    items, rows = np.divmod(every, num_rows)
    return Hits(
        items=items, rows=rows, runs=runs, is_whole=is_whole, cosines=cosines, num_runs=wanted.num_runs,
        nearest=close.nearest, nearest_cosines=close.nearest_cosines,
    )  # fmt: skip
