"""What the selections of a board's rows have in common, from the positions in its records: a table of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from sftbench.board.overlap import expected_jaccard
from sftbench.board.site.records import CellFile, Records, row_name
from sftbench.board.table import Board, BoardRow
from sftbench.positions import positions_from_text

MOST_ROWS = 60
"""Rows of a budget that are compared with each other, the first of the board: the table grows with their square."""
SHADES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
"""Overlaps from which a cell is a shade stronger."""
_BLOCK = 65_536

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The row whose selections have most in common with another's, how much, and what chance would give.

    A row that took the whole pool is nobody's nearest, and has none.
    """

    row: BoardRow
    jaccard: float
    by_chance: float


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """All pairs of rows of one budget. `jaccard[i][j]` is the mean over the seeds that both have, None without one.

    `num_left_out` rows are beyond `MOST_ROWS`; `unknown` are those of whose selections no positions are known, of which
    `num_generated` trained on rows that a generator wrote.
    """

    budget: str
    rows: tuple[BoardRow, ...]
    jaccard: tuple[tuple[float | None, ...], ...]
    nearest: tuple[Nearest | None, ...]
    by_chance: tuple[float, float] | None
    num_left_out: int
    unknown: tuple[BoardRow, ...]
    num_generated: int


def has_selections(records: Records) -> bool:
    """Whether any record tells which rows were chosen."""
    return any(positions_of(file) is not None for files in records.cells.values() for file in files)


def overlaps_of(board: Board, records: Records, budget: str) -> Overlaps | None:
    """The pairs at a budget, of rows that are not matched to another; None with fewer than two.

    Rows with the same seed are compared, as the mean of rows in both over rows in either.
    """
    rows = [row for row in board.of(budget) if not row.matched_to]
    chosen = {id(row): _chosen(records.of(row_name(row), budget)) for row in rows}
    known = [row for row in rows if chosen[id(row)]]
    shown = known[:MOST_ROWS]
    if len(shown) < 2:
        return None
    seeds = [chosen[id(row)] for row in shown]
    jaccard = _mean_jaccard(seeds, board.pool.num_rows)
    expected = _expected(seeds, board.pool.num_rows)
    whole = [_is_whole(each, board.pool.num_rows) for each in seeds]
    unknown = tuple(row for row in rows if not chosen[id(row)] and row.training is not None)
    told = [expected[i, j] for i, j in combinations(range(len(shown)), 2) if not np.isnan(jaccard[i, j])]
    return Overlaps(
        budget=budget,
        rows=tuple(shown),
        jaccard=tuple(tuple(None if np.isnan(value) else float(value) for value in line) for line in jaccard),
        nearest=tuple(_nearest(at, shown, jaccard, expected, whole) for at in range(len(shown))),
        by_chance=(min(told), max(told)) if told else None,
        num_left_out=len(known) - len(shown),
        unknown=unknown,
        num_generated=sum(_generated(records.of(row_name(row), budget)) for row in unknown),
    )


def shade(value: float) -> int:
    """How strong the shade of a cell is, from 0 to 9."""
    return sum(value >= step for step in SHADES)


def positions_of(file: CellFile) -> str | None:
    chosen = file.cell.selection if file.cell.status == "done" else None
    return chosen.positions if chosen else None


def _chosen(files: Sequence[CellFile]) -> dict[int, npt.NDArray[np.int64]]:
    """The positions of each seed's selection."""
    return {
        file.cell.seed: positions_from_text(text, num_rows=file.cell.pool.num_rows)
        for file in files
        if (text := positions_of(file)) is not None
    }


def _mean_jaccard(seeds: Sequence[dict[int, npt.NDArray[np.int64]]], num_rows: int) -> Floats:
    """The mean over common seeds for each pair of rows; NaN without one."""
    count = len(seeds)
    total, times = np.zeros((count, count)), np.zeros((count, count))
    for seed in sorted({seed for each in seeds for seed in each}):
        having = [at for at, each in enumerate(seeds) if seed in each]
        taken = np.zeros((len(having), num_rows), dtype=np.bool_)
        for line, at in enumerate(having):
            taken[line, seeds[at][seed]] = True
        blocks = (taken[:, start : start + _BLOCK].astype(np.float64) for start in range(0, num_rows, _BLOCK))
        common = sum((block @ block.T for block in blocks), start=np.zeros((len(having), len(having))))
        sizes = common.diagonal()
        either = sizes[:, None] + sizes[None, :] - common
        total[np.ix_(having, having)] += np.divide(common, either, out=np.ones_like(common), where=either > 0)
        times[np.ix_(having, having)] += 1
    return np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0)


def _expected(seeds: Sequence[dict[int, npt.NDArray[np.int64]]], num_rows: int) -> Floats:
    """What independent random choices as large would have in common; as large as those of the first seed."""
    sizes = [len(next(iter(each.values()))) for each in seeds]
    known: dict[tuple[int, int], float] = {}
    found = np.ones((len(sizes), len(sizes)))
    for i, j in combinations(range(len(sizes)), 2):
        pair = (min(sizes[i], sizes[j]), max(sizes[i], sizes[j]))
        if pair not in known:
            known[pair] = expected_jaccard(*pair, num_rows)
        found[i, j] = found[j, i] = known[pair]
    return found


def _generated(files: Sequence[CellFile]) -> bool:
    """Whether a generator wrote rows of the pool that was chosen from."""
    return any(file.cell.generated is not None for file in files)


def _is_whole(seeds: dict[int, npt.NDArray[np.int64]], num_rows: int) -> bool:
    """Whether a row took the whole pool, and so has all rows of every other."""
    return all(len(each) == num_rows for each in seeds.values())


def _nearest(
    at: int, rows: Sequence[BoardRow], jaccard: Floats, expected: Floats, whole: Sequence[bool]
) -> Nearest | None:
    """The row most like another, among those that made a choice; None for one that made none."""
    line = jaccard[at].copy()
    line[[at, *(other for other, is_whole in enumerate(whole) if is_whole)]] = np.nan
    if whole[at] or np.isnan(line).all():
        return None
    other = int(np.nanargmax(line))
    return Nearest(row=rows[other], jaccard=float(line[other]), by_chance=float(expected[at, other]))
