"""The rows of one budget: estimates of every metric, and order and tiers on the sort metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftbench.board.entries import Entry, grids
from sftbench.board.noise import TrainingNoise, fit_noise
from sftbench.board.overlap import overlap_of
from sftbench.board.spread import Grid, Spread, subtract, take_apart
from sftbench.board.statistics import Estimate, estimate_all
from sftbench.board.summary import costs_of, failures_of, training_of, undescribed_of
from sftbench.board.table import WIN_RATE, BoardRow
from sftbench.board.tiers import Standing, stand


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """One metric of all entries at one budget; entries without it are absent from `spreads`."""

    name: str
    key: str
    bigger_is_better: bool
    num_items: int
    grids: list[Grid | None]
    spreads: dict[int, Spread]
    noise: TrainingNoise | None

    @classmethod
    def of(cls, entries: list[Entry], name: str, *, bigger_is_better: bool, baseline: str | None) -> Measurements:
        found, num_items = grids(entries, name, baseline=baseline)
        spreads = {row: take_apart(grid) for row, grid in enumerate(found) if grid is not None}
        known = {row: spread for row, spread in spreads.items() if spread is not None}
        noisy = [spread for spread in known.values() if spread.num_noisy]
        first = entries[0].first
        return cls(
            name=name,
            key="|".join((first.pool.key, first.base.fingerprint, first.budget, name)),
            bigger_is_better=bigger_is_better,
            num_items=num_items,
            grids=found,
            spreads=known,
            noise=fit_noise(
                np.array([spread.seed_variance for spread in noisy]),
                np.array([spread.num_seeds - 1.0 for spread in noisy]),
            ),
        )

    def order(self) -> list[int]:
        """The entries that have the metric, best mean first."""
        return sorted(self.spreads, key=lambda row: (-self.goodness(row), row))

    def goodness(self, row: int) -> float:
        """The mean, turned so that bigger is better."""
        return self.spreads[row].mean if self.bigger_is_better else -self.spreads[row].mean

    def estimates(self, num_resamples: int) -> dict[int, Estimate]:
        """A mean with interval for each entry that has the metric."""
        made = estimate_all(
            list(self.spreads.values()), self.noise, key=self.key, bounds=self._bounds(), num_resamples=num_resamples
        )
        return dict(zip(self.spreads, made, strict=True))

    def _bounds(self) -> tuple[float, float]:
        if self.name == WIN_RATE:
            return (0.0, 100.0)
        every = np.concatenate([grid.values.ravel() for grid in self.grids if grid is not None] or [np.empty(0)])
        is_share = bool(np.isin(every[np.isfinite(every)], (0.0, 1.0)).all())
        return (0.0, 1.0) if is_share else (-np.inf, np.inf)

    def standings(self) -> dict[int, Standing]:
        """Tiers of the entries that have the metric."""
        order = self.order()
        ranked = [grid for row in order if (grid := self.grids[row]) is not None]
        return dict(zip(order, stand(ranked, self.noise, bigger_is_better=self.bigger_is_better), strict=True))

    def behind_best(self, num_resamples: int) -> dict[int, Estimate]:
        """The paired difference of each entry to the first (its mean minus the first's)."""
        first, *others = self.order() or [0]
        found: dict[int, Spread] = {}
        for row in others:
            grid, best = self.grids[row], self.grids[first]
            spread = subtract(grid, best) if grid is not None and best is not None else None
            if spread is not None:
                found[row] = spread
        key = f"{self.key}|behind the best"
        return dict(
            zip(
                found, estimate_all(list(found.values()), self.noise, key=key, num_resamples=num_resamples), strict=True
            )
        )


def rank(entries: list[Entry], metrics: list[Measurements], *, sort_metric: str, num_resamples: int) -> list[BoardRow]:
    """Ranked rows of one budget, best first, then those without the sort metric, failed ones last."""
    estimates = {each.name: each.estimates(num_resamples) for each in metrics}
    expected = {cell.seed for entry in entries for cell in entry.cells}
    main = next((each for each in metrics if each.name == sort_metric), None)
    order = main.order() if main else []
    standings = main.standings() if main else {}
    behind = main.behind_best(num_resamples) if main else {}
    ranks = (
        {row: 1 + sum(main.goodness(other) > main.goodness(row) for other in order) for row in order} if main else {}
    )
    unranked = sorted(set(range(len(entries))) - set(order), key=lambda row: (not entries[row].done, row))
    return [
        _row(
            entries[row],
            {name: found[row] for name, found in estimates.items() if row in found},
            place=_Place(rank=ranks.get(row), standing=standings.get(row), behind_best=behind.get(row)),
            missing=expected - {cell.seed for cell in entries[row].cells},
        )
        for row in order + unranked
    ]


@dataclass(frozen=True, kw_only=True)
class _Place:
    rank: int | None
    standing: Standing | None
    behind_best: Estimate | None


def _row(entry: Entry, estimates: dict[str, Estimate], *, place: _Place, missing: set[int]) -> BoardRow:
    cell, standing = entry.first, place.standing
    seeds_missing = () if entry.untrained else tuple(sorted(missing))
    return BoardRow(
        budget=cell.budget,
        method=cell.method,
        label=cell.label,
        kind=cell.kind,
        matched_to=cell.matched_to,
        fidelity=cell.fidelity,
        status="failed" if not entry.done else "partial" if entry.failed or seeds_missing else "done",
        seeds_done=tuple(each.seed for each in entry.done),
        seeds_failed=tuple(each.seed for each in entry.failed),
        seeds_missing=seeds_missing,
        failures=failures_of(entry.failed),
        rank=place.rank,
        tier=standing.tier if standing else None,
        tied_with_best=bool(standing and standing.tied_with_best),
        seeds_to_tell=standing.seeds_to_tell if standing else None,
        behind_best=place.behind_best,
        metrics={name: estimate for name, estimate in estimates.items() if name != WIN_RATE},
        win_rate=estimates.get(WIN_RATE),
        is_baseline=WIN_RATE in estimates and not any(each.verdicts for each in entry.done),
        training=training_of(entry.done),
        cost=costs_of(entry.done),
        stand_ins=tuple(sorted({each for cell in entry.done for each in cell.stand_ins})),
        asked=tuple(sorted({each for cell in entry.done for each in cell.asked})),
        overlap=overlap_of(entry.done),
        undescribed=undescribed_of(entry.done),
    )
