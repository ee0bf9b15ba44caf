"""Which types count: those that are neither too frequent nor too rare in the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

BandKind = Literal["auto", "per_doc", "absolute", "per_token", "calibrated"]

PAPER_ROWS = 117_000
"""Rows of the paper's pool, to which its thresholds belong."""
PAPER_TOKENS = 46_000_000
"""Response tokens of such a pool; the paper prints no figure, so this is an assumption (393 tokens per row)."""
SCALABLE_ROWS = PAPER_ROWS // 10
"""Below this many rows the paper's lower threshold scales to less than one occurrence, and scaling says nothing."""
MEAN_TYPES = 20.0
"""Mid-band types per row that the paper reports as its calibration."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Types that occur at least `low` and at most `high` times in the pool; `kind` is how they were found."""

    kind: BandKind
    low: int
    high: int

    def holds(self, occurrences: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which types lie in the band, bool [V]."""
        return (occurrences >= self.low) & (occurrences <= self.high)


def find_band(
    kind: BandKind,
    thresholds: tuple[int, int],
    *,
    occurrences: npt.NDArray[np.int64],
    num_holders: npt.NDArray[np.int64],
    num_rows: int,
) -> Band:
    """The mid band of a pool (arXiv 2505.24768, section on the micro level: 10 to 500 occurrences in 117K rows).

    `occurrences` [V] counts each type in the whole pool, `num_holders` [V] the rows that hold it.
    `per_doc` scales the thresholds with the rows, `per_token` with the tokens; `calibrated` takes the
    lower one from `per_doc` and the upper one so that a row holds 20 types in the mean. `auto` is
    `per_doc`, but `calibrated` for fewer than 11,700 rows.
    """
    if kind == "auto":
        kind = "per_doc" if num_rows >= SCALABLE_ROWS else "calibrated"
    if kind == "absolute":
        return Band(kind=kind, low=thresholds[0], high=thresholds[1])
    scale = occurrences.sum() / PAPER_TOKENS if kind == "per_token" else num_rows / PAPER_ROWS
    low = max(2, round(thresholds[0] * scale))
    if kind == "calibrated":
        return Band(kind=kind, low=low, high=_calibrated_high(low, occurrences, num_holders, num_rows))
    return Band(kind=kind, low=low, high=max(low + 1, round(thresholds[1] * scale)))


def _calibrated_high(
    low: int, occurrences: npt.NDArray[np.int64], num_holders: npt.NDArray[np.int64], num_rows: int
) -> int:
    held_with_count = np.zeros(int(occurrences.max(initial=0)) + 1)
    np.add.at(held_with_count, occurrences, num_holders)
    held_with_count[:low] = 0
    mean_types = np.cumsum(held_with_count) / max(1, num_rows)
    return max(low + 1, int(np.argmin(np.abs(mean_types - MEAN_TYPES))))
