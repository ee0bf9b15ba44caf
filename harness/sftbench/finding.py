"""Find evaluation items in a pool: what `bench check contamination` does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sftbench import shelf
from sftbench.choosing import carried_out, planner_of
from sftbench.contamination import COSINES
from sftbench.contamination.hits import Hits
from sftbench.contamination.longest import longest_common_run
from sftbench.errors import UsageError
from sftbench.plan import Likeness, Ref, Step
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.pools import items_key
from sftbench.pools.words import NUM_WORDS, turns_of
from sftbench.rooms import Component, Pool, Row
from sftbench.runner import Watcher
from sftbench.settings import RunSettings, check_settings
from sftbench.survey import absolute, embedder_facts

By = Literal["words", "all"]
_SIDES = {"instruction": ("user",), "response": ("assistant",), "both": ("user", "assistant")}


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to look for in what, and how: the fields are the flags of `bench check contamination`.

    Without a `component`, words are compared on both sides of the rows and embeddings on the instructions. Without a
    `cosine` the threshold is the one that was measured for the embedder.
    """

    pool: str
    against: str
    by: By = "all"
    component: Component | None = None
    words: int = NUM_WORDS
    cosine: float | None = None
    embedder: str = "minilm"
    limit: int | None = None
    store: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ItemHit:
    """An evaluation item that stands in a pool, and the row that has most of it.

    `by` names what found it in any row: `words`, `embedding` or both. `share` is how much of the item's runs of words
    that row has (1 where its prompt is the item's, which `is_whole` tells), `longest_run` the most words in a row that
    both have, `cosine` how close the two lie (None below the threshold), `num_rows` how many rows have something of the
    item. `run_in_item` and `run_in_row` are the characters of the longest run in the two texts.
    """

    item: str
    row: str
    by: tuple[str, ...]
    share: float
    is_whole: bool
    longest_run: int
    cosine: float | None
    num_rows: int
    item_position: int
    row_position: int
    item_text: str
    row_text: str
    run_in_item: tuple[int, int]
    run_in_row: tuple[int, int]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "by": list(self.by), **{n: list(getattr(self, n)) for n in _SPANS}}


_SPANS = ("run_in_item", "run_in_row")


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemsFound:
    """What a check found: the sizes of both sides, and the file of hits with the pools that its positions count in."""

    pool: Pool
    items: Pool
    hits: Hits
    cosine: float | None
    component: Component

    @property
    def summary(self) -> dict[str, Any]:
        """The counts: items, rows, items hit in all and by each way, rows that have something of an item."""
        close = np.isfinite(self.hits.cosines)
        return {
            "num_rows": len(self.pool),
            "num_items": len(self.items),
            "num_items_hit": _count(self.hits.items),
            "num_items_hit_by_words": _count(self.hits.items[self.hits.by_words]),
            "num_items_hit_by_embedding": _count(self.hits.items[close]) if self.cosine is not None else None,
            "num_rows_hitting": _count(self.hits.rows),
            "cosine": self.cosine,
        }

    def item_hits(self) -> Iterator[ItemHit]:
        """Every item that was hit with its best row: most of its words first, then by closeness; made as they are read
        (rows are looked up one at a time)."""
        hits = self.hits
        closeness = np.where(np.isfinite(hits.cosines), hits.cosines, -1)
        order = np.lexsort((hits.rows, -closeness, -hits.shares, hits.items))
        items, first = np.unique(hits.items[order], return_index=True)
        best = order[first]
        ranked = np.lexsort((items, -closeness[best], -hits.shares[best]))
        for place in ranked:
            yield self._item_hit(int(items[place]), int(best[place]))

    def pairs_of(self, item: int) -> list[dict[str, Any]]:
        """All rows that have something of the item at this position."""
        start, end = np.searchsorted(self.hits.items, [item, item + 1])
        hits = self.hits
        return [
            {
                "row": self.pool.ids[int(hits.rows[at])],
                "row_position": int(hits.rows[at]),
                "share": float(hits.shares[at]),
                "cosine": _finite(hits.cosines[at]),
            }
            for at in range(int(start), int(end))
        ]

    def _item_hit(self, item: int, best: int) -> ItemHit:
        hits = self.hits
        start, end = np.searchsorted(hits.items, [item, item + 1])
        ways = {
            "words": bool(hits.by_words[start:end].any()),
            "embedding": bool(np.isfinite(hits.cosines[start:end]).any()),
        }
        row = int(hits.rows[best])
        turns = [_turns(each, self.component) for each in (self.items[item], self.pool[row])]
        texts = ["\n".join(each) for each in turns]
        common = longest_common_run(*turns)
        return ItemHit(
            item=self.items.ids[item], row=self.pool.ids[row], by=tuple(way for way, found in ways.items() if found),
            share=float(hits.shares[best]), is_whole=bool(hits.is_whole[best]), longest_run=common.num_words,
            cosine=_finite(hits.cosines[best]), num_rows=int(end - start), item_position=item, row_position=row,
            item_text=texts[0], row_text=texts[1], run_in_item=common.first, run_in_row=common.second,
        )  # fmt: skip


def search_pool(wanted: Search, *, plugins: Plugins, watcher: Watcher) -> ItemsFound:
    """Look for the items of one file in the rows of another.

    Both are read, embedded and compared in steps that the store keeps. Raises `UsageError` for bad input.
    """
    _refuse(wanted)
    base = str(plugins.suite(str(RunSettings.model_fields["suite"].default)).base)
    settings = check_settings(
        {"methods": ["none"], "pool": wanted.pool, "limit": wanted.limit, "base": base, "redo": "failed"}
    )
    planner = planner_of(settings, plugins, (), 0)
    likeness = _likeness(wanted)
    items = _items(planner, wanted.against)
    label = f"items of {Path(wanted.against).name} in {Path(wanted.pool).name}"
    ref = planner.contamination(likeness, pool=planner.pool, items=items, label=label)
    run = carried_out(planner, ref, settings, plugins, watcher, wanted.store)
    return ItemsFound(
        pool=shelf.load_pool(run.store.folder_of(planner.pool), planner.pool),
        items=shelf.load_pool(run.store.folder_of(items), items),
        hits=Hits.load(run.store.folder_of(ref)),
        cosine=likeness.cosine if likeness.embedder else None,
        component=likeness.component,
    )


def _refuse(wanted: Search) -> None:
    if wanted.by not in ("words", "all"):
        raise UsageError(f"by '{wanted.by}': expected words or all")
    if wanted.component not in (None, *_SIDES):
        raise UsageError(f"component '{wanted.component}': expected one of {', '.join(_SIDES)}")
    if wanted.words < 2:
        raise UsageError(f"a run has at least 2 words, not {wanted.words}")
    if wanted.cosine is not None and not (0 < wanted.cosine <= 1 and math.isfinite(wanted.cosine)):
        raise UsageError(f"a cosine above 0 and up to 1 is expected, not {wanted.cosine}")
    if wanted.cosine is not None and wanted.by == "words":
        raise UsageError("--cosine is for embeddings, which --by words leaves out")
    if wanted.by == "all" and wanted.cosine is None and wanted.embedder not in COSINES:
        raise UsageError(f"no threshold was measured for the embedder {wanted.embedder}; give one with --cosine")


def _likeness(wanted: Search) -> Likeness:
    component = wanted.component or "both"
    if wanted.by == "words":
        return Likeness(num_words=wanted.words, component=component)
    cosine = COSINES[wanted.embedder] if wanted.cosine is None else wanted.cosine
    return Likeness(
        num_words=wanted.words, component=component, embedder=embedder_facts(wanted.embedder),
        embedded=wanted.component or "instruction", cosine=cosine,
    )  # fmt: skip


def _items(planner: Planner, source: str) -> Ref:
    return planner.add(
        Step(
            room="pool",
            label=f"read items of {Path(source).name}",
            identity={"make": "items", "content": items_key(source)},
            where={"source": absolute(source)},
        )
    )


def _turns(row: Row, component: Component) -> list[str]:
    return [content for role, content in turns_of(row) if role in _SIDES[component]]


def _count(values: Any) -> int:
    return len(np.unique(values))


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
