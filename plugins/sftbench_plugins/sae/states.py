"""Hidden states of a pool, row after row; those of a sample are kept in a file for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench import Encoded, LanguageModel, Passage, Pool, Row

Span = Literal["both", "response"]
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class RowStates:
    """States [m, d] of one row's tokens, how many of its response tokens fitted in, and why it has none."""

    states: npt.NDArray[np.float32]
    kept_share: float
    reason: str | None


@dataclass(kw_only=True, eq=False)
class StateReader:
    """States of the model after a layer for every token of a row but the first.

    The first token is a BOS, or takes the place of one: models without BOS gather attention there, and
    its state is many times as large as all others. Texts are prompt, newline, response.
    """

    pool: Pool
    model: LanguageModel
    layer: int
    span: Span

    def __iter__(self) -> Iterator[RowStates]:
        for rows in self.pool.batches():
            yield from self.of(rows)

    def of(self, rows: Sequence[Row]) -> Iterator[RowStates]:
        """The states of these rows, in order."""
        encoded, again = tee(self.model.encode(rows))
        passages = (Passage(token_ids=each.token_ids, scored=self._wanted(each)) for each in again)
        for each, states in zip(encoded, self.model.hidden_states(passages, layer=self.layer), strict=True):
            yield RowStates(states=states, kept_share=each.kept_share, reason=each.reason)

    def _wanted(self, encoded: Encoded) -> npt.NDArray[np.bool_]:
        wanted = encoded.response.copy() if self.span == "response" else np.ones(len(encoded.token_ids), dtype=np.bool_)
        wanted[:1] = False
        return wanted


def sampled_states(reader: StateReader, path: Path, *, num_tokens: int, seed: int) -> npt.NDArray[np.float32]:
    """States [m, d] of rows drawn by lot until there are `num_tokens`, or of all rows, in a file at `path`."""
    order = np.random.default_rng(seed).permutation(len(reader.pool))
    count, width = 0, reader.model.shape.width
    with path.open("wb") as out:
        for start in range(0, len(order), _ROWS_AT_ONCE):
            if count >= num_tokens:
                break
            for each in reader.of(reader.pool.take(order[start : start + _ROWS_AT_ONCE])):
                finite = each.states[np.isfinite(each.states).all(axis=1)][: num_tokens - count]
                finite.tofile(out)
                count += len(finite)
    if not count:
        return np.empty((0, width), dtype=np.float32)
    return np.memmap(path, dtype=np.float32, mode="r", shape=(count, width))
