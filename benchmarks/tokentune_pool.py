"""Real embeddings and real utilities of a pool, for `tokentune_bandit.py`: what a full scan of TokenTune would know.

The base is the model that is given, the reference is that after plain fine-tuning on `--warmup` random rows; the
utility of a row is Eq. 7 of the paper from the losses of both on its response tokens (NaN below 8 tokens). Takes
minutes to hours on a CPU, so it is written to a file and read from there the next time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from sftbench import Encoded, LanguageModel, Nll, Passage, Pool, Row, Selection, TrainedModel, encode_rows
from sftbench.engines.embed import embed_texts
from sftbench.engines.loading import load_tokenizer
from sftbench.pools import read_pool
from sftbench_plugins.sft.trainer import Sft
from sftbench_plugins.tokentune.utility import utility

MAX_LENGTH = 512
MIN_TOKENS = 8


@dataclass
class Desk:
    """What plain fine-tuning asks of a desk."""

    scratch: Path
    base: Path
    seed: int = 0

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path=self.base)

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        return encode_rows(rows, load_tokenizer(self.base), template="training", max_length=MAX_LENGTH)

    def meter(self, **amounts: float) -> None: ...

    def log(self, message: str) -> None:
        print(f"reference: {message}", flush=True)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Desk]:
        yield self

    def advance(self, amount: int = 1) -> None: ...


def measured(
    pool: str, model: Path, *, num_rows: int, warmup: int, cache: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Embeddings [n, d] and utilities [n] of the first rows of a pool."""
    if not cache.exists():
        start = time.perf_counter()
        with TemporaryDirectory() as name:
            folder = Path(name)
            rows = read_pool(pool, limit=num_rows, into=folder / "rows.arrow")
            vectors = embed_texts(row.text("both") for row in rows)
            print(f"embedded {len(rows)} rows in {time.perf_counter() - start:.0f} s", flush=True)
            utilities = _utilities(rows, model, warmup, folder)
        np.savez(cache, vectors=vectors, utilities=utilities)
        print(f"measured in {time.perf_counter() - start:.0f} s", flush=True)
    stored = np.load(cache)
    return stored["vectors"], stored["utilities"]


def _utilities(pool: Pool, model: Path, warmup: int, folder: Path) -> npt.NDArray[np.float64]:
    desk = Desk(folder, model)
    chosen = np.random.default_rng(0).permutation(len(pool))[:warmup]
    selection = Selection(ids=tuple(pool.ids[at] for at in chosen))
    Sft().train(pool, selection, desk, folder / "reference")  # type: ignore[arg-type]
    base, reference = LanguageModel.load(model), LanguageModel.load(folder / "reference")
    found = []
    for batch in pool.batches():
        encoded = list(desk.training_encoding(batch))
        passages = [Passage.conditional(each) for each in encoded]
        losses = [[given["nll"].astype(np.float64) for given in lm.run(passages, statistics=[Nll()])]
                  for lm in (base, reference)]  # fmt: skip
        for of_base, of_reference in zip(*losses, strict=True):
            enough = len(of_base) >= MIN_TOKENS and np.isfinite(of_base).all()
            found.append(utility(of_base - of_reference, of_base) if enough else np.nan)
        if len(found) % 5120 < 1024:
            print(f"{len(found)} rows looked at", flush=True)
    return np.array(found)
