"""Losses without noise, from the clean passes that several methods share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sftbench import PassResult
from sftbench_plugins.tshirt.copies import Losses, ifd
from sftbench_plugins.tshirt.measure import Measured, Stock


class CleanPasses:
    """The losses without noise, from the passes that several methods share."""

    def __init__(self, given: PassResult, alone: PassResult) -> None:
        self._given, self._alone = given, alone

    def stock(self) -> Stock:
        """Every row with its number of tokens that have context in both passes."""
        stock = Stock(num_tokens=np.zeros(len(self._given.values), dtype=np.int64), notes=dict(self._given.notes))
        for position in range(len(stock.num_tokens)):
            reason = self._given.reasons.get(position) or self._alone.reasons.get(position)
            stock.num_tokens[position] = 0 if reason else self.losses(position).alone.shape[1]
            if not stock.num_tokens[position]:
                stock.refuse(position, reason or "too_few_tokens")
        return stock

    def stream(self, stock: Stock) -> Iterator[Measured]:
        """Every row with tokens, its clean copy standing for the noisy ones."""
        for position in np.flatnonzero(stock.num_tokens):
            losses = self.losses(int(position))
            with np.errstate(over="ignore"):
                yield Measured(int(position), losses, float(ifd(losses, same_tokens=True)[0]))

    def ifd(self, position: int, *, num_tokens: int) -> float:
        """Clean IFD over the first `num_tokens` (the shared pass may have the larger window)."""
        given, alone = self.losses(position)
        with np.errstate(over="ignore"):
            return float(ifd(Losses(given[:, :num_tokens], alone[:, :num_tokens]), same_tokens=True)[0])

    def losses(self, position: int) -> Losses:
        """One copy, float32 [1, k], without a first token that has no context in one of the passes."""
        given, alone = self._given.values[position], self._alone.values[position]
        start = int(len(given) > 0 and bool(np.isnan(given[0]) or np.isnan(alone[0])))
        return Losses(given[None, start:], alone[None, start:])
