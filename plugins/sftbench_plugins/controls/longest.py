"""The zero-cost rule that every method must beat: long responses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from sftbench import Desk, Needs, Pool, Row, Scores, param

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Longest:
    """Response length ("Long Is More for Alignment", arXiv 2402.04833).

    Mode `paper` counts tokens of the base model's tokenizer over all assistant turns, without
    special tokens and without truncation. Mode `official` is the "TL" baseline of arXiv 2410.09335:
    the last response alone, a BOS counted and tokens of id 0 not.
    """

    name: ClassVar[str] = "longest"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "which rule; see above")
    unit: Literal["tokens", "words", "characters"] = param("tokens", "what is counted in mode paper")
    turns: Literal["sum", "last"] = param("sum", "all assistant turns or the last one, in mode paper")
    direction: Literal["high", "low"] = param("high", "high wants long responses, low short ones")

    def needs(self) -> Needs:
        return Needs(lengths=True)

    def score(self, pool: Pool, desk: Desk) -> Scores:
        values = np.empty(len(pool))
        if self.mode == "paper" and self.unit == "tokens" and self.turns == "sum":
            values[:] = desk.response_lengths()
        else:
            self._count(values, pool, desk)
        empty = dict.fromkeys(np.flatnonzero(values == 0).tolist(), "empty_response")
        return Scores(values=values if self.direction == "high" else -values, notes=empty)

    def _count(self, values: np.ndarray[tuple[int], np.dtype[np.float64]], pool: Pool, desk: Desk) -> None:
        position = 0
        for batch in pool.batches():
            texts = [self._text(row) for row in batch]
            values[position : position + len(batch)] = self._lengths(texts, desk)
            position += len(batch)

    def _text(self, row: Row) -> str:
        return row.response if self.mode == "official" or self.turns == "last" else row.text("response")

    def _lengths(self, texts: list[str], desk: Desk) -> list[int]:
        if self.mode == "official":
            return [sum(token != 0 for token in ids) for ids in desk.tokenizer("base")(texts)["input_ids"]]
        if self.unit == "tokens":
            return [len(ids) for ids in desk.tokenizer("base")(texts, add_special_tokens=False)["input_ids"]]
        return [len(_WORD.findall(text)) if self.unit == "words" else len(text) for text in texts]
