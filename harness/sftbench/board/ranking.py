"""The rows of one budget: estimates of every metric, and order and tiers on the sort metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from sftbench.board.detectable import detectable_differences, knows_noise
from sftbench.board.entries import Entry, grids
from sftbench.board.noise import Floats, TrainingNoise, fit_noise
from sftbench.board.overlap import overlap_of
from sftbench.board.spread import Grid, Spread, subtract, take_apart
from sftbench.board.statistics import Estimate, estimate_all
from sftbench.board.summary import costs_of, failures_of, training_of, undescribed_of
from sftbench.board.table import WIN_RATE, BoardRow, DetectableDifference, MatchedComparison, WithoutHits
from sftbench.board.tiers import NOTHING_ELSE, Compared, Standing, compare_all, judge_planned, stand

CHANCE = "random"
"""The row that others are held to, where a board has it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Elsewhere:
    """p values of the comparisons at a board's other budgets, by kind: each kind is one family over all budgets."""

    pairs: Floats
    matched: Floats
    baseline: Floats

    @classmethod
    def of(cls, others: Sequence[Measurements]) -> Elsewhere:
        """From the sort metric at the other budgets."""
        return cls(
            pairs=np.concatenate([NOTHING_ELSE, *(each.pairs.p for each in others)]),
            matched=np.concatenate([NOTHING_ELSE, *(each.matched_pairs.p for each in others)]),
            baseline=np.concatenate([NOTHING_ELSE, *(each.baseline_pairs.p for each in others)]),
        )


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
    noise_of_contenders: TrainingNoise | None
    """The same, from the rows that are not matched to another: matched draws often move more with the seed."""
    matched: dict[int, int]
    """Of a control that is matched to a method: which entry that method is."""
    reference: int | None
    """The contender that all others are held to: the one called `random`, without one what win rates are against."""

    @classmethod
    def of(cls, entries: list[Entry], name: str, *, bigger_is_better: bool, baseline: str | None) -> Measurements:
        found, num_items = grids(entries, name, baseline=baseline)
        spreads = {row: take_apart(grid) for row, grid in enumerate(found) if grid is not None}
        known = {row: spread for row, spread in spreads.items() if spread is not None}
        first = entries[0].first
        labels = {entry.first.label: row for row, entry in enumerate(entries) if entry.first.matched_to is None}
        matched_to = {row: entry.first.matched_to for row, entry in enumerate(entries)}
        matched = {row: labels[label] for row, label in matched_to.items() if label in labels}
        whole = any(spread.whole for spread in known.values())
        contenders = {row: entries[row] for row in known if row not in matched}
        return cls(
            name=name,
            key="|".join((first.pool.key, first.base.fingerprint, first.budget, name)),
            bigger_is_better=bigger_is_better,
            num_items=num_items,
            grids=found,
            spreads=known,
            noise=None if whole else _noise_of(known.values()),
            noise_of_contenders=None if whole else _noise_of(known[row] for row in contenders),
            matched=matched,
            reference=_reference(contenders, baseline),
        )

    def order(self) -> list[int]:
        """The entries that have the metric, best mean first."""
        return sorted(self.spreads, key=lambda row: (-self.goodness(row), row))

    def contenders(self) -> list[int]:
        """The entries that have the metric and are not matched to another, best mean first."""
        return [row for row in self.order() if row not in self.matched]

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
        if any(spread.whole for spread in self.spreads.values()):
            return (-np.inf, np.inf)
        every = np.concatenate([grid.values.ravel() for grid in self.grids if grid is not None] or [np.empty(0)])
        is_share = bool(np.isin(every[np.isfinite(every)], (0.0, 1.0)).all())
        return (0.0, 1.0) if is_share else (-np.inf, np.inf)

    @cached_property
    def pairs(self) -> Compared:
        """All pairs of contenders, by their place in `contenders`."""
        ranked = [grid for row in self.contenders() if (grid := self.grids[row]) is not None]
        return compare_all(ranked, self.noise_of_contenders)

    @cached_property
    def matched_pairs(self) -> Compared:
        """Every method with each control that is matched to it."""
        pairs = [(method, control) for control, method in self.matched.items()]
        return self._comparable(pairs, self.noise)

    @cached_property
    def baseline_pairs(self) -> Compared:
        """Every other contender with the reference; none without one."""
        others = [row for row in self.contenders() if row != self.reference]
        pairs = [] if self.reference is None else [(row, self.reference) for row in others]
        return self._comparable(pairs, self.noise_of_contenders)

    def _comparable(self, pairs: list[tuple[int, int]], noise: TrainingNoise | None) -> Compared:
        return Compared.of(self.grids, [pair for pair in pairs if set(pair) <= set(self.spreads)], noise)

    def standings(self, elsewhere: Floats = NOTHING_ELSE) -> dict[int, Standing]:
        """Tiers and places of the contenders.

        What is matched to a method answers a question about that method alone: two such controls for each would make
        the family of all pairs ten times as large, and nobody could be told apart from anybody.
        """
        order = self.contenders()
        found = stand(self.pairs, num_rows=len(order), bigger_is_better=self.bigger_is_better, elsewhere=elsewhere)
        return dict(zip(order, found, strict=True))

    def ranks(self) -> dict[int, int]:
        """1 plus the number of contenders with a better mean."""
        order = self.contenders()
        return {row: 1 + sum(self.goodness(other) > self.goodness(row) for other in order) for row in order}

    def against_matched(
        self, entries: list[Entry], num_resamples: int, elsewhere: Floats = NOTHING_ELSE
    ) -> dict[int, tuple[MatchedComparison, ...]]:
        """Of each method: its difference to every control that is matched to it, method minus control."""
        names = {control: entries[control].first.method for control in self.matched}
        found: dict[int, tuple[MatchedComparison, ...]] = {}
        for method, each in self._planned(self.matched_pairs, names, "matched", num_resamples, elsewhere):
            found[method] = (*found.get(method, ()), each)
        return found

    def against_baseline(
        self, entries: list[Entry], num_resamples: int, elsewhere: Floats = NOTHING_ELSE
    ) -> dict[int, MatchedComparison]:
        """Of each contender: its difference to the row called `random`, without one to what win rates are against.

        These are what most readers ask for, and as many as there are rows, not as many as there are pairs of rows.
        """
        names = {} if self.reference is None else {self.reference: entries[self.reference].first.label}
        return dict(self._planned(self.baseline_pairs, names, "baseline", num_resamples, elsewhere))

    def detectable(self, entries: list[Entry], num_elsewhere: int) -> DetectableDifference | None:
        """The smallest true difference to the reference that would be told, with so many comparisons elsewhere."""
        compared = self.baseline_pairs
        differences = [each for each in compared.differences if each is not None]
        if self.reference is None or not differences:
            return None
        num_comparisons = len(compared.p) + num_elsewhere
        sizes = detectable_differences(differences, compared.noise, num_comparisons=num_comparisons)
        low, high = self._bounds()
        mean = self.spreads[self.reference].mean
        typical, smallest, largest = (
            (float(np.median(sizes)), float(sizes.min()), float(sizes.max())) if len(sizes) else (None, None, None)
        )
        possible = max(mean - low, high - mean)
        return DetectableDifference(
            budget=entries[0].first.budget,
            metric=self.name,
            control=entries[self.reference].first.label,
            difference=_within(typical, possible),
            smallest=_within(smallest, possible),
            largest=_within(largest, possible),
            room_below=mean - low if np.isfinite(low) else None,
            room_above=high - mean if np.isfinite(high) else None,
            num_seeds=int(np.median([each.num_seeds for each in differences])),
            num_items=max(each.num_items for each in differences),
            num_comparisons=num_comparisons,
            with_training_noise=knows_noise(differences, compared.noise),
        )

    def _planned(
        self, compared: Compared, names: Mapping[int, str], family: str, num_resamples: int, elsewhere: Floats
    ) -> Iterator[tuple[int, MatchedComparison]]:
        """What came of planned comparisons of rows with controls, which have `names`."""
        planned = judge_planned(compared, elsewhere)
        known = [(pair, each) for pair, each in zip(compared.pairs, planned, strict=True) if each is not None]
        estimates = estimate_all(
            [each.difference for _, each in known],
            compared.noise,
            key=f"{self.key}|{family}",
            num_resamples=num_resamples,
        )
        for ((row, control), each), estimate in zip(known, estimates, strict=True):
            is_better = (estimate.mean > 0) == self.bigger_is_better
            outcome: Literal["better", "worse", "equal"] = "better" if is_better else "worse"
            yield (
                row,
                MatchedComparison(
                    control=names[control],
                    difference=estimate,
                    outcome=outcome if each.told_apart else "equal",
                    seeds_to_tell=each.seeds_to_tell,
                ),
            )

    def behind_best(self, num_resamples: int) -> dict[int, Estimate]:
        """The paired difference of each entry to the first (its mean minus the first's)."""
        first, *others = self.contenders() or [0]
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


def _reference(contenders: Mapping[int, Entry], baseline: str | None) -> int | None:
    """The row that all others are held to."""
    for name in (CHANCE, baseline):
        for row, entry in contenders.items():
            if name is not None and name in (entry.first.label, entry.first.method):
                return row
    return None


def _within(difference: float | None, possible: float) -> float | None:
    """A difference, or None where the metric leaves no room for it."""
    return None if difference is None or difference > possible else difference


def _noise_of(spreads: Iterable[Spread]) -> TrainingNoise | None:
    noisy = [spread for spread in spreads if spread.num_noisy]
    return fit_noise(
        np.array([spread.seed_variance for spread in noisy]), np.array([spread.num_seeds - 1.0 for spread in noisy])
    )


def rank(
    entries: list[Entry],
    metrics: list[Measurements],
    *,
    sort_metric: str,
    num_resamples: int,
    elsewhere: Elsewhere,
    without_hits: Mapping[int, WithoutHits] | None = None,
) -> list[BoardRow]:
    """Ranked rows of one budget, best first, then those without the sort metric, failed ones last."""
    estimates = {each.name: each.estimates(num_resamples) for each in metrics}
    expected = {cell.seed for entry in entries for cell in entry.cells}
    main = next((each for each in metrics if each.name == sort_metric), None)
    order = main.order() if main else []
    standings = main.standings(elsewhere.pairs) if main else {}
    behind = main.behind_best(num_resamples) if main else {}
    ranks = main.ranks() if main else {}
    against = main.against_matched(entries, num_resamples, elsewhere.matched) if main else {}
    chance = main.against_baseline(entries, num_resamples, elsewhere.baseline) if main else {}
    unranked = sorted(set(range(len(entries))) - set(order), key=lambda row: (not entries[row].done, row))
    return [
        _row(
            entries[row],
            {name: found[row] for name, found in estimates.items() if row in found},
            place=_Place(
                rank=ranks.get(row),
                standing=standings.get(row),
                behind_best=behind.get(row),
                against_matched=against.get(row, ()),
                without_hits=(without_hits or {}).get(row),
                against_baseline=chance.get(row),
            ),
            missing=expected - {cell.seed for cell in entries[row].cells},
        )
        for row in order + unranked
    ]


@dataclass(frozen=True, kw_only=True)
class _Place:
    rank: int | None
    standing: Standing | None
    behind_best: Estimate | None
    against_matched: tuple[MatchedComparison, ...]
    without_hits: WithoutHits | None
    against_baseline: MatchedComparison | None


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
        places=standing.places if standing else None,
        tied_with_best=bool(standing and standing.tied_with_best),
        seeds_to_tell=standing.seeds_to_tell if standing else None,
        behind_best=place.behind_best,
        against_matched=place.against_matched,
        metrics={name: estimate for name, estimate in estimates.items() if name != WIN_RATE},
        win_rate=estimates.get(WIN_RATE),
        is_baseline=WIN_RATE in estimates and not any(each.verdicts for each in entry.done),
        training=training_of(entry.done),
        cost=costs_of(entry.done),
        stand_ins=tuple(sorted({each for cell in entry.done for each in cell.stand_ins})),
        asked=tuple(sorted({each for cell in entry.done for each in cell.asked})),
        overlap=overlap_of(entry.done),
        undescribed=undescribed_of(entry.done),
        without_hits=place.without_hits,
        against_baseline=place.against_baseline,
    )
