"""Control of response length: a range of tokens, or the same lengths at every level, or both.

Rows with many types are long rows, so without control a series of diversity is a series of length too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FORM = re.compile(r"off|(?:(\d+)-(\d+))?\+?(matched)?")
_ROUNDING = 1 + 1e-12


@dataclass(frozen=True, kw_only=True)
class LengthControl:
    """Responses of `low` to `high` tokens; `matched` takes the same share from every stratum of lengths."""

    low: int = 0
    high: int = 2**31 - 1
    matched: bool = False

    @classmethod
    def parse(cls, text: str) -> LengthControl:
        """From `off`, `400-600`, `matched` or `400-600+matched`; anything else is a ValueError."""
        match = _FORM.fullmatch(text)
        if match is None or not text or text.startswith("+") or text.endswith("+"):
            raise ValueError(f"length_control is off, LOW-HIGH, matched or LOW-HIGH+matched, not '{text}'")
        if match[1] is None:
            return cls(matched=match[3] is not None)
        if int(match[1]) > int(match[2]):
            raise ValueError(f"length_control: {match[1]} is more than {match[2]}")
        return cls(low=int(match[1]), high=int(match[2]), matched=match[3] is not None)

    def admits(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which lengths lie in the range."""
        return (lengths >= self.low) & (lengths <= self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """What a selection may take: rows of stratum `strata[i]` whose `costs[i]` add up to at most `room[s]`.

    Without matching there is one stratum. For a budget in rows every cost is 1 and rooms are whole.
    """

    costs: npt.NDArray[np.float64]
    strata: npt.NDArray[np.int64]
    room: npt.NDArray[np.float64]

    @classmethod
    def of(cls, costs: npt.NDArray[np.float64], cap: float, strata: npt.NDArray[np.int64]) -> Limits:
        """Divide the cap over the strata as the costs of the pool are divided."""
        ends = cap * np.cumsum(np.bincount(strata, weights=costs)) / costs.sum()
        if bool((costs == 1).all()):
            ends = np.floor(ends + 0.5)
        return cls(costs=costs, strata=strata, room=np.diff(ends, prepend=0.0))

    def at(self, rows: npt.NDArray[np.int64]) -> Limits:
        """The same rooms for a part of the rows."""
        return Limits(costs=self.costs[rows], strata=self.strata[rows], room=self.room)


def length_strata(lengths: npt.NDArray[np.int64], num_strata: int) -> npt.NDArray[np.int64]:
    """Quantile groups of the lengths (int64 [n], 0 = shortest); equal lengths share a group."""
    edges = np.unique(np.quantile(lengths, np.arange(1, num_strata) / num_strata))
    groups = np.searchsorted(edges, lengths, side="left")
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def first_within(
    costs: npt.NDArray[np.float64], strata: npt.NDArray[np.int64], room: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which rows of a ranking fit when every stratum is filled in order up to the first row that is too much."""
    fits = np.zeros(len(costs), dtype=np.bool_)
    for stratum in np.unique(strata):
        inside = strata == stratum
        fits[inside] = np.cumsum(costs[inside]) <= room[stratum] * _ROUNDING
    return fits
