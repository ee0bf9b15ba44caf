"""The three stages of a round: refresh the ratios of the most promising rows, shortlist, choose from the shortlist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sftbench_plugins.compression.packing import GrowingText, Listing, Threads

Positions: TypeAlias = npt.NDArray[np.int64]
Ratios: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What the modes differ in: how equal ratios are ordered, how exact they are, what becomes of the rejected.

    `smallest(values, k)` gives the positions of the k smallest of an array, smallest first.
    """

    dtype: type[np.floating[Any]]
    smallest: Callable[[Ratios, int], Positions]
    rejected_come_back: bool


def first_smallest(values: Ratios, count: int) -> Positions:
    """Of equal values the first."""
    order: Positions = np.argsort(values, kind="stable")[:count]
    return order


def torch_smallest(values: Ratios, count: int) -> Positions:
    """Of equal values whichever `torch.topk` takes, as in the authors' code."""
    import torch

    order: Positions = torch.topk(torch.from_numpy(values), count, largest=False).indices.numpy()
    return order


PAPER = Rule(dtype=np.float64, smallest=first_smallest, rejected_come_back=True)
OFFICIAL = Rule(dtype=np.float32, smallest=torch_smallest, rejected_come_back=False)


@dataclass(kw_only=True, eq=False)
class Search:
    """Rows taken so far, and the last known ratio of every row; infinite for rows that are out.

    `ratios` [n] begins with the ratio of every row alone. `texts` gives the rows at some positions.
    `refreshed` (k1) rows get a new ratio in a round, `shortlisted` (k2) of them are compared with each
    other, `taken` (k3) of those are taken. `threads` share the compressing; they change no ratio.
    """

    rule: Rule
    listing: Listing
    texts: Callable[[Positions], Sequence[bytes]]
    ratios: Ratios
    refreshed: int
    shortlisted: int
    taken: int
    threads: Threads | None = None
    chosen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._text = GrowingText(self.listing)

    @property
    def num_left(self) -> int:
        """Rows that are not out."""
        return int(np.isfinite(self.ratios).sum())

    def round(self) -> Positions:
        """Take `taken` more rows, or as many as are left; returns them."""
        shortlist = self._shortlist()
        texts = self.texts(shortlist)
        order = self._least_alike(texts)
        picked: Positions = shortlist[order]
        self.ratios[picked if self.rule.rejected_come_back else shortlist] = np.inf
        for at in order:
            self._text.add(texts[at])
        self.chosen += picked.tolist()
        return picked

    def _shortlist(self) -> Positions:
        """Rows that compress worst with all rows taken, one at a time."""
        # The authors' code keeps to k1 even where fewer rows are left, and so looks at used ones again.
        literal = not self.rule.rejected_come_back and self.refreshed <= len(self.ratios)
        count = self.refreshed if literal else min(self.refreshed, self.num_left)
        rows = self.rule.smallest(self.ratios, count)
        self.ratios[rows] = self._text.ratios_with(self.texts(rows), threads=self.threads)
        best = rows[self.rule.smallest(self.ratios[rows], min(self.shortlisted, count))]
        return np.sort(best) if self.rule.rejected_come_back else best

    def _least_alike(self, texts: Sequence[bytes]) -> list[int]:
        """Of these texts those that compress worst with each other; the rows taken before do not count here."""
        group = GrowingText(self.listing)
        order: list[int] = []
        for _ in range(min(self.taken, len(texts))):
            trial = np.full(len(texts), np.inf, dtype=self.rule.dtype)
            left = [at for at in range(len(texts)) if at not in order]
            trial[left] = group.ratios_with([texts[at] for at in left], threads=self.threads)
            best = int(self.rule.smallest(trial, 1)[0])
            group.add(texts[best])
            order.append(best)
        return order
