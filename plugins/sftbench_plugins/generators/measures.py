"""How varied a set of texts is: the share of its word sequences that are different ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

ORDERS = (1, 2, 3, 4, 5)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(kw_only=True)
class Distinct:
    """Distinct-n for n from 1 to 5 over the first `num_texts` texts: different n-grams / all n-grams.

    n-grams are of words between white space and never cross two texts (arXiv 2506.19262 uses n = 5). The figure falls
    with the size of a set: compare sets of equal size.
    """

    num_texts: int = 10_000
    _number_of: dict[str, int] = field(default_factory=dict)
    _texts: list[npt.NDArray[np.uint64]] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count a text in, unless enough were counted."""
        if len(self._texts) < self.num_texts:
            numbers = [self._number_of.setdefault(word, len(self._number_of) + 1) for word in text.split()]
            self._texts.append(np.array(numbers, dtype=np.uint64))

    def values(self) -> dict[str, float | None]:
        """By order, as text; None where no text is long enough."""
        return {str(order): self._share(order) for order in ORDERS}

    def _share(self, order: int) -> float | None:
        grams = np.concatenate([np.empty(0, np.uint64), *(_hashed(text, order) for text in self._texts)])
        return len(np.unique(grams)) / len(grams) if len(grams) else None


def _hashed(text: npt.NDArray[np.uint64], order: int) -> npt.NDArray[np.uint64]:
    """A 64-bit number for each n-gram: among a million, two different ones meet with a chance of 3 in 10^8."""
    count = max(0, len(text) - order + 1)
    grams = np.zeros(count, dtype=np.uint64)
    for place in range(order):
        grams = (grams ^ text[place : place + count]) * _MULTIPLIER
        grams ^= grams >> np.uint64(29)
    return grams


def distinct(texts: Sequence[str], order: int) -> float | None:
    """Distinct-n of a set of texts."""
    counted = Distinct(num_texts=len(texts))
    for text in texts:
        counted.add(text)
    return counted.values()[str(order)]
