"""The two steps of describing rows: counting the token types of a pool, and measuring a set of rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftbench import shelf
from sftbench.arrays import load_arrays, save_arrays
from sftbench.bench import Bench, parent_pool
from sftbench.diversity.corpus import Corpus, Segmenter, read_corpus, student_tokens
from sftbench.diversity.entropy import TypeCounts
from sftbench.rooms import Component, Json, Pool

if TYPE_CHECKING:
    from sftbench.desk import WorkingDesk
    from sftbench.diversity.describe import Side
    from sftbench.plan import Step

Payload = dict[str, Json]
Positions = npt.NDArray[np.int64]
_AT_ONCE = 1024
_FILE = "types.safetensors"


def count_types(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """How often each token type occurs in one side of a pool: what its middle band is found by."""
    pool, tokenize = parent_pool(step, bench), _tokenize(step)
    counts, num_rows = np.zeros(0, dtype=np.int64), 0
    with desk.progress(len(pool), "row") as progress:
        for batch in pool.batches():
            texts = [text for text in (row.text(_component(step)) for row in batch) if text.strip()]
            tokens = chain.from_iterable(tokenize(texts) if texts else [])
            found = np.bincount(np.fromiter(tokens, dtype=np.int64), minlength=len(counts))
            found[: len(counts)] += counts
            counts, num_rows = found, num_rows + len(texts)
            progress.advance(len(batch))
    save_arrays({"counts": counts}, bench.work / _FILE)
    return {"num_rows": num_rows, "num_tokens": int(counts.sum()), "num_types": int((counts > 0).sum())}


def describe_rows(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """Every diversity metric of one side of the rows selected from a pool, or of all of its rows."""
    from sftbench.diversity.describe import MeasuresWanted, describe

    pool = parent_pool(step, bench)
    rows = _selected(step, bench, pool)
    side = _side(step, bench, desk, pool, rows, role="embeddings")
    real = None
    if "against" in step.parents:
        reference = parent_pool(step, bench, "against")
        real = _side(step, bench, desk, reference, np.arange(len(reference)), role="embeddings_against")
    budget: Any = step.identity["token_budget"]
    mode: Any = step.identity["mode"]
    wanted = MeasuresWanted(
        token_budget=budget, seed=int(step.number("seed")), mode=mode, kl_lm=bool(step.identity["kl_lm"])
    )  # fmt: skip
    measures = describe(side, pool=_counted(step, bench), real=real, wanted=wanted, meter=bench.meter)
    return {"measures": [each.plain() for each in measures]}


def _selected(step: Step, bench: Bench, pool: Pool) -> Positions:
    if "selection" not in step.parents:
        return np.arange(len(pool))
    selection = shelf.load_selection(bench.store.folder_of(step.parents["selection"]))
    # In the order of the pool, so that two rankings of the same rows are described alike.
    return np.sort(np.array([pool.index_of[row_id] for row_id in selection.ids], dtype=np.int64))


def _side(step: Step, bench: Bench, desk: WorkingDesk, pool: Pool, rows: Positions, *, role: str) -> Side:
    from sftbench.diversity.describe import Side
    from sftbench.engines.embed import embed_texts

    def texts(at: Positions) -> Iterator[str]:
        for start in range(0, len(at), _AT_ONCE):
            yield from (row.text(_component(step)) for row in pool.take(rows[at[start : start + _AT_ONCE]]))

    corpus: Corpus = read_corpus(texts(np.arange(len(rows))), texts, tokenize=_tokenize(step))
    if role in step.parents:
        folder = bench.store.folder_of(step.parents[role])
        vectors = load_arrays(folder / "embeddings.safetensors")["embeddings"]
    else:
        with desk.progress(len(rows), "text") as progress:
            everything = texts(np.arange(len(rows)))
            vectors = embed_texts(everything, model=step.where["embedder"], meter=bench.meter, advance=progress.advance)
    return Side(corpus=corpus, vectors=vectors)


def _counted(step: Step, bench: Bench) -> TypeCounts:
    ref = step.parents["types"]
    counts = load_arrays(bench.store.folder_of(ref) / _FILE)["counts"]
    num_rows = bench.store.ended(ref).payload["num_rows"]
    assert isinstance(num_rows, int)
    return TypeCounts(counts=counts.astype(np.int64), num_rows=num_rows)


def _tokenize(step: Step) -> Segmenter:
    from sftbench.engines.loading import load_tokenizer

    return student_tokens(load_tokenizer(step.where["base"]))


def _component(step: Step) -> Component:
    component: Any = step.identity["component"]
    return component  # type: ignore[no-any-return]
