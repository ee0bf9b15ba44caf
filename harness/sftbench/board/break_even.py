"""From which size of training on a method pays for its own selection, as far as the board's random rows can tell.

A method spends S FLOPs before training and T on training; its model scores g. Random rows, of which a board has several
sizes (`random` at its budgets, `full`, and those matched to methods in tokens or compute), give what random reaches for
C FLOPs: their means against log C, fitted by the least-squares line that never falls (more random rows are taken to do
no harm), straight between sizes. With C(g) as the least compute at which that line is as good as g, each training saves
C(g) - T, and choosing has paid for itself once these savings are S: after S / (C(g) - T) trainings like this one, or in
one that is so many times as large, if random goes on needing so many times as many rows. This is `factor`; where random
reaches g for no more than T, nothing is saved, and the factor is infinite.

A score above the whole line is taken for its end, so that the factor is rather too large, unless single sizes of
random are as good (where the line falls short of these, it may be too small); one at or below its beginning saves
nothing that was measured. The line at the method's own total compute is beside what one draw of random reached there.
Intervals are from joint draws: the same items for all rows, and Student's distribution for the seeds of each, as for
every interval of the board.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.board.cells import Cell
from sftbench.board.entries import Entry, gather
from sftbench.board.making import SIZES_OF_RANDOM, flops_before_evaluating, making_flops
from sftbench.board.noise import Floats
from sftbench.board.ranking import CHANCE, Measurements
from sftbench.board.statistics import CONFIDENCE, draw_means
from sftbench.board.table import WIN_RATE, BoardRow, BreakEven

EVERYTHING = "full"


def with_break_even(
    rows: Sequence[BoardRow], cells: Sequence[Cell], *, metric: str, bigger_is_better: bool, num_resamples: int
) -> list[BoardRow]:
    """The rows of a board, those that chose and trained with what choosing cost and from when on it pays."""
    # Win rates are against the baseline of their own budget, so one budget says nothing about another.
    if metric == WIN_RATE:
        parts = [[cell for cell in cells if cell.budget == budget] for budget in {cell.budget: None for cell in cells}]
    else:
        parts = [list(cells)]
    found: dict[tuple[str, str], BreakEven] = {}
    for part in parts:
        budgets = {cell.budget for cell in part}
        mine = [row for row in rows if row.budget in budgets]
        found |= _of_part(mine, part, metric=metric, bigger_is_better=bigger_is_better, num_resamples=num_resamples)
    return [
        dataclasses.replace(row, break_even=found.get((row.budget, row.label)) if row.matched_to is None else None)
        for row in rows
    ]


@dataclass(frozen=True, kw_only=True)
class Purse:
    """What a row spent: `before` training and on it, in FLOPs, and the price of a random row of its budget."""

    before: float
    training: float
    row_price: float


def _of_part(
    rows: Sequence[BoardRow], cells: Sequence[Cell], *, metric: str, bigger_is_better: bool, num_resamples: int
) -> dict[tuple[str, str], BreakEven]:
    """By budget and label: of every row that chose, from the means and from joint draws."""
    prices = {row.budget: _row_price(row) for row in rows if row.label == CHANCE}
    purses = {_name(row): purse for row in rows if (purse := _purse(row, prices.get(row.budget, 0.0))) is not None}
    told = {name: _without_random(purse) for name, purse in purses.items()}
    entries = gather(cells)
    measured = Measurements.of(entries, metric, bigger_is_better=bigger_is_better, baseline=_baseline(cells))
    places = {row: place for place, row in enumerate(measured.spreads)}
    sizes = {places[row]: cost for row, cost in _sizes_of_random(entries).items() if row in places}
    scored = {
        name: place
        for row, place in places.items()
        if entries[row].first.matched_to is None
        for name in [(entries[row].first.budget, entries[row].first.label)]
        if name in purses
    }
    if not scored or len(set(sizes.values())) < 2:
        return told
    spreads = list(measured.spreads.values())
    key = f"{measured.key}|break even"
    drawn = draw_means(spreads, measured.noise, key=key, num_resamples=num_resamples)
    sign = 1 if bigger_is_better else -1
    goodness = np.column_stack([[spread.mean for spread in spreads], drawn]) * sign
    costs, random = np.array([*sizes.values()]), goodness[[*sizes]]
    needed, beyond = _costs_of_scores(costs, random, goodness[[*scored.values()]])
    line = CostLine.of(costs, random[:, 0])
    for (name, place), each, ends in zip(scored.items(), needed, beyond, strict=True):
        purse = purses[name]
        told[name] = dataclasses.replace(
            _with_random(told[name], purse, each, ends),
            random_line=sign * line.level_at(purse.before + purse.training),
            random_as_good=int(np.sum(random[:, 0] >= goodness[place, 0])),
        )
    return told


def _costs_of_scores(costs: Floats, random: Floats, wanted: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What random needs for each of `wanted` [R, B], given its goodness [P, B] for `costs` [P]; which are beyond it."""
    found = [CostLine.of(costs, random[:, draw]).cost_of(wanted[:, draw]) for draw in range(random.shape[1])]
    return np.column_stack([needed for needed, _ in found]), np.column_stack([beyond for _, beyond in found])


def _name(row: BoardRow) -> tuple[str, str]:
    return (row.budget, row.label)


def _baseline(cells: Sequence[Cell]) -> str | None:
    return next((cell.verdicts.baseline for cell in cells if cell.verdicts and cell.status == "done"), None)


def _purse(row: BoardRow, price: float) -> Purse | None:
    """With the price of a random row (0: the row's own); None for chance, the untrained, and costs not known."""
    total = making_flops(row)
    if row.matched_to is not None or row.label in (CHANCE, EVERYTHING) or row.training is None or total is None:
        return None
    price = price or _row_price(row)
    if not price or "training" not in row.cost:
        return None
    training = row.cost["training"].flops
    return Purse(before=total - training, training=training, row_price=price)


def _row_price(row: BoardRow) -> float:
    """FLOPs of training on one row, over all epochs; 0 where nothing was trained."""
    if row.training is None or not row.training.num_rows or "training" not in row.cost:
        return 0.0
    return row.cost["training"].flops / row.training.num_rows


def _sizes_of_random(entries: Sequence[Entry]) -> dict[int, float]:
    """Entries that are random rows of some size, the same rows once, and what making their models took in FLOPs."""
    sizes: dict[int, float] = {}
    seen = set()
    for row, entry in enumerate(entries):
        first = entry.first
        is_random = first.method in SIZES_OF_RANDOM or first.label in (CHANCE, EVERYTHING)
        rows = tuple((cell.seed, cell.selection.ids_hash) for cell in entry.done if cell.selection is not None)
        cost = _mean_flops(entry)
        if is_random and cost > 0 and rows and rows not in seen:
            seen.add(rows)
            sizes[row] = cost
    return sizes


def _mean_flops(entry: Entry) -> float:
    return float(np.mean([flops_before_evaluating(cell.cost) for cell in entry.done])) if entry.done else 0.0


def _without_random(purse: Purse) -> BreakEven:
    """What follows from costs alone."""
    return BreakEven(
        choosing_rows=purse.before / purse.row_price,
        total_rows=(purse.before + purse.training) / purse.row_price,
        random_rows=None,
        beyond=False,
        is_known=False,
        factor=None,
        low=None,
        high=None,
    )


def _with_random(told: BreakEven, purse: Purse, needed: Floats, beyond: npt.NDArray[np.bool_]) -> BreakEven:
    """The same with what random `needed` [1 + B] for the same score: by the means, then in each draw."""
    saved = needed - purse.training
    most = np.where(saved > 0, purse.before / np.where(saved > 0, saved, 1.0), np.inf)
    # Beyond the line random may need whatever more: no factor is too small.
    least = np.where(beyond, 0.0, most)
    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high, fewest, largest = (
        float(np.quantile(each[1:], end, method="inverted_cdf"))
        for each, end in zip((least, most, needed, np.where(beyond, np.inf, needed)), ends * 2, strict=True)
    )
    return dataclasses.replace(
        told,
        is_known=True,
        random_rows=float(needed[0]) / purse.row_price if needed[0] else None,
        beyond=bool(beyond[0]),
        factor=_finite(float(most[0])),
        low=_finite(low),
        high=_finite(high),
        random_rows_low=fewest / purse.row_price,
        random_rows_high=_finite(largest / purse.row_price),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class CostLine:
    """What random reaches: `levels` [P] that never fall, at `places` [P] (log of compute), straight between."""

    places: Floats
    levels: Floats

    @classmethod
    def of(cls, costs: Floats, goodness: Floats) -> CostLine:
        """Through what random reached for `costs` [P] (positive, in any order)."""
        places, at = np.unique(np.log(costs), return_inverse=True)
        weights = np.bincount(at).astype(np.float64)
        return cls(places=places, levels=never_falling(np.bincount(at, weights=goodness) / weights, weights))

    def cost_of(self, wanted: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The least compute at which random is as good as each of `wanted` [R], and whether none of it was.

        0 where the smallest is as good already; the largest where none is.
        """
        beyond = wanted > self.levels[-1]
        after = np.searchsorted(self.levels, np.minimum(wanted, self.levels[-1]), side="left")
        before = np.maximum(after - 1, 0)
        rise = self.levels[after] - self.levels[before]
        share = np.where(rise > 0, (wanted - self.levels[before]) / np.where(rise > 0, rise, 1.0), 0.0)
        between = self.places[before] + share * (self.places[after] - self.places[before])
        needed = np.exp(np.where(beyond, self.places[-1], between))
        return np.where(wanted <= self.levels[0], 0.0, needed), beyond

    def level_at(self, cost: float) -> float:
        """What random reaches for `cost`; outside the line, its nearest end."""
        return float(np.interp(math.log(cost) if cost > 0 else -math.inf, self.places, self.levels))


def never_falling(values: Floats, weights: Floats) -> Floats:
    """The values [P] nearest to `values` in weighted least squares that never fall (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            together = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / together, together, before[2] + block[2])
        blocks.append(block)
    return np.repeat([value for value, _, _ in blocks], [count for _, _, count in blocks])
