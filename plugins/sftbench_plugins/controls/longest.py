"""The zero-cost rule that every method must beat: long responses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Needs, Pool, Row, Scores, param

_WORD = re.compile(r"\w+")
_QUANTILES = (0, 25, 50, 75, 100)


@dataclass(frozen=True, kw_only=True)
class Longest:
    """Response length ("Long Is More for Alignment", arXiv 2402.04833).

    Mode `paper` counts tokens of the base model's tokenizer over all assistant turns, without
    special tokens and without truncation. Mode `official` is the "TL" baseline of arXiv 2410.09335:
    the last response alone, a BOS counted and tokens of id 0 not. An empty response has a length and
    ranks last; among short responses (`direction=low`) it is left out.
    """

    name: ClassVar[str] = "longest"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "which rule; see above")
    unit: Literal["tokens", "words", "characters"] = param("tokens", "what is counted in mode paper")
    turns: Literal["sum", "last"] = param("sum", "all assistant turns or the last one, in mode paper")
    direction: Literal["high", "low"] = param("high", "high wants long responses, low short ones")

    def __post_init__(self) -> None:
        if self.mode == "official" and (self.unit, self.turns) != ("tokens", "sum"):
            raise ValueError("mode official counts tokens of the last response; unit and turns are for mode paper")

    def needs(self) -> Needs:
        return Needs(lengths=self.unit == "tokens")

    def score(self, pool: Pool, desk: Desk) -> Scores:
        if self.mode == "paper" and self.unit == "tokens" and self.turns == "sum":
            lengths = desk.response_lengths().astype(np.float64)
            empty = lengths == 0
        else:
            lengths, empty = self._counted(pool, desk)
        said = dict.fromkeys(np.flatnonzero(empty).tolist(), "empty_response")
        report = {"length_quantiles": {f"{at}%": float(np.percentile(lengths, at)) for at in _QUANTILES}}
        if self.direction == "low":
            return Scores(values=np.where(empty, np.nan, -lengths), reasons=said, report=report)
        return Scores(values=lengths, notes=said, report=report)

    def _counted(self, pool: Pool, desk: Desk) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        lengths: list[int] = []
        empty: list[bool] = []
        for batch in pool.batches():
            texts = [self._text(row) for row in batch]
            lengths += self._lengths(texts, desk)
            empty += [not text for text in texts]
        return np.array(lengths, dtype=np.float64), np.array(empty, dtype=np.bool_)

    def _text(self, row: Row) -> str:
        return row.response if self.mode == "official" or self.turns == "last" else row.text("response")

    def _lengths(self, texts: list[str], desk: Desk) -> list[int]:
        if self.unit != "tokens":
            return [len(_WORD.findall(text)) if self.unit == "words" else len(text) for text in texts]
        tokenizer = desk.tokenizer("base")
        if self.mode == "official":
            return [sum(token != 0 for token in ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]
        return [len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]]
