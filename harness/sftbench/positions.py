"""Which rows of a pool, as short text: `0-3,7` for the rows at 0, 1, 2, 3 and 7."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
MOST = 50_000_000
"""More rows than any selection has: twenty bytes of a stranger's record must not fill the memory."""
_RUN = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?", re.ASCII)


def positions_as_text(positions: Sequence[int] | Positions) -> str:
    """Runs of neighbours in rising order; their order of choice is not kept."""
    rising = np.unique(np.asarray(positions, dtype=np.int64))
    runs = np.split(rising, np.flatnonzero(np.diff(rising) > 1) + 1) if len(rising) else []
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def positions_from_text(text: str, *, num_rows: int) -> Positions:
    """What `positions_as_text` wrote, rising. Raises `ValueError` for anything else, or beyond a pool of `num_rows`."""
    bounds = []
    for run in text.split(",") if text else []:
        match = _RUN.fullmatch(run)
        if match is None:
            raise ValueError(f"'{run[:40]}' is no position and no run of positions")
        bounds.append((int(match[1]), int(match[2] or match[1])))
    ends = [-2, *(end for _, end in bounds)]
    if any(start <= before + 1 or end < start for (start, end), before in zip(bounds, ends, strict=False)):
        raise ValueError("positions must rise, with neighbours in one run")
    if ends[-1] >= num_rows:
        raise ValueError(f"row {ends[-1]} of a pool of {num_rows} rows")
    if (num := sum(end + 1 - start for start, end in bounds)) > MOST:
        raise ValueError(f"{num:,} positions; at most {MOST:,} are read")
    return np.concatenate([np.empty(0, np.int64), *(np.arange(start, end + 1) for start, end in bounds)])
