"""Which rows of a pool have something of which evaluation items: what a check finds, and its file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sftbench.arrays import load_arrays, save_arrays

FILE = "hits.safetensors"
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """Pairs of an item and a row that has something of it, each once, by item and row; and facts about each item.

    `items` [P] and `rows` [P] are positions, `runs` [P] counts the different runs of words that the row has of the
    item (of `num_runs` [I] that count), `is_whole` [P] tells that its prompt is the item's, and `cosines` [P] how close
    the two lie, where that is at least the threshold, else NaN. `nearest` [I] is the row that lies nearest to each item
    (-1 without embeddings) and `nearest_cosines` [I] how close (NaN without).
    """

    items: Ints
    rows: Ints
    runs: Ints
    is_whole: npt.NDArray[np.bool_]
    cosines: Floats
    num_runs: Ints
    nearest: Ints
    nearest_cosines: Floats

    @property
    def by_words(self) -> npt.NDArray[np.bool_]:
        """Pairs that share words [P]."""
        return np.asarray((self.runs > 0) | self.is_whole)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """How much of the item's runs stands in the row [P], 0 to 1; 1 where the prompt is the same."""
        share = self.runs / np.maximum(self.num_runs[self.items], 1)
        return np.where(self.is_whole, 1.0, share)

    def items_in(self, rows: Ints) -> Ints:
        """The items that some of these rows have something of, rising."""
        return np.unique(self.items[np.isin(self.rows, rows)])

    def save(self, folder: Path) -> None:
        """Into one file of a step's folder."""
        save_arrays({each.name: getattr(self, each.name) for each in fields(self)}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Hits:
        """What `save` wrote."""
        return cls(**load_arrays(folder / FILE))
