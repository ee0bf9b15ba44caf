"""From types to a training set at a point of the axis of diversity: what the three levels of the series share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Pool, Selection, UsageError, param
from sftbench_plugins.m2m.lengths import LengthControl, Limits, length_strata

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from sftbench_plugins.m2m.prune import Pruned
    from sftbench_plugins.m2m.series import Series

_LENGTH_TOLERANCE = 0.01
"""Two levels that are each this near to the mean of the pool are within 2 % of each other."""

Descent: TypeAlias = "Callable[[csr_array, Limits], Pruned]"
"""How types are given up, one pool a part of the one before, as far as the limits can be filled."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Types:
    """Which row holds which types: `matrix`, the incidence [n, K].

    `left_out` [n] says by reason which rows may not be chosen, and `empty` [n] where there is no text.
    `noun` names the types in words, `typeless` the reason of other rows without any, and `advice` is what
    to do when these are too many.
    """

    matrix: csr_array
    left_out: Mapping[str, Mask]
    empty: Mask
    noun: str
    typeless: str
    advice: str

    @property
    def has_types(self) -> Mask:
        has: Mask = np.diff(self.matrix.indptr) > 0
        return has

    @property
    def admitted(self) -> Mask:
        """Rows that are not left out, whether they hold types or not."""
        admitted = np.ones(self.matrix.shape[0], dtype=np.bool_)
        for mask in self.left_out.values():
            admitted &= ~mask
        return admitted

    def counts(self) -> dict[str, Json]:
        """Rows left out by the first reason that each has, and those without types."""
        counts: dict[str, Json] = {}
        seen = np.zeros(self.matrix.shape[0], dtype=np.bool_)
        for reason, mask in {
            **self.left_out,
            "empty_component": self.empty,
            self.typeless: ~self.has_types,
        }.items():
            counts[reason] = int((mask & ~seen).sum())
            seen |= mask
        return counts


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Where on the axis the training set is to lie, and what is kept equal along it."""

    level: float = param(100.0, "point on the axis from fewest (0) to most (100) types at this budget, in percent")
    levels: int = param(7, "points of the axis that the report lists")
    uniformity: Literal["rarest", "none"] = param("rarest", "what fills up after the cover: rarest type, or any row")
    length_control: str = param("off", "off, LOW-HIGH (response tokens), matched, or LOW-HIGH+matched")
    length_strata: int = param(200, "quantile groups of response length for `matched`")
    keep_empty: bool = param(False, "keep rows that hold no type that counts as filler")

    def __post_init__(self) -> None:
        LengthControl.parse(self.length_control)
        if not 0 <= self.level <= 100:
            raise ValueError(f"level is a percentage from 0 to 100, not {self.level:g}")
        for name, least in (("levels", 2), ("length_strata", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")

    def admits(self, lengths: npt.NDArray[np.int64]) -> Mask:
        """Which response lengths lie in the range."""
        return LengthControl.parse(self.length_control).admits(lengths)

    def selection(
        self,
        types: Types,
        descend: Descent,
        *,
        pool: Pool,
        allowance: Allowance,
        desk: Desk,
        about: Mapping[str, Json],
        counted: Mapping[str, Json],
    ) -> Selection:
        """The training set at the level. `about` opens the report, `counted` joins its counts of rows.

        Raises `UsageError`, with the largest feasible budget, when too few rows hold types.
        """
        from sftbench_plugins.m2m.report import describe

        lengths = desk.response_lengths()
        rows = self._eligible(types, allowance)
        series = self._series(types.matrix[rows], descend, lengths[rows], allowance.row_costs[rows], allowance, desk)
        order = _within(allowance, rows[series.at(self.level).rows], desk.seed)
        chosen = np.searchsorted(rows, order)
        described = describe(series, level=self.level, num_levels=self.levels, chosen=chosen, lengths=lengths[rows])
        num_rows: dict[str, Json] = {"pool": len(pool), "eligible": len(rows), **types.counts(), **counted}
        self._warn_about_length(desk, float(lengths[order].mean()), float(lengths[rows].mean()))
        ids = pool.ids
        return Selection(
            ids=tuple(ids[position] for position in order), report={**about, **described, "num_rows": num_rows}
        )

    def _eligible(self, types: Types, allowance: Allowance) -> npt.NDArray[np.int64]:
        costs, has_types = allowance.row_costs, types.has_types
        rows = np.flatnonzero(types.admitted & (has_types | self.keep_empty) & (costs > 0) & np.isfinite(costs))
        within_reach = float(costs[rows].sum())
        if not has_types[rows].any() or within_reach < allowance.cap * (1 - 1e-9):
            raise UsageError(
                f"no level is feasible: {len(rows)} of {len(costs)} rows have {types.noun}, worth {within_reach:g} "
                f"{allowance.unit}, and the budget is {allowance.cap:g} {allowance.unit}; the largest feasible budget "
                f"is {within_reach:g}. {types.advice}; keep_empty=true admits the others"
            )
        return rows

    def _series(
        self,
        matrix: csr_array,
        descend: Descent,
        lengths: npt.NDArray[np.int64],
        costs: npt.NDArray[np.float64],
        allowance: Allowance,
        desk: Desk,
    ) -> Series:
        from sftbench_plugins.m2m.series import Series

        strata, cap = np.zeros(len(lengths), dtype=np.int64), allowance.cap
        if LengthControl.parse(self.length_control).matched:
            strata = length_strata(lengths, self.length_strata)
            # A stratum's part of a budget in costs may be less than one row: rows of matched length cost the mean.
            costs, cap = np.ones(len(costs)), min(len(costs), cap / float(costs.mean()))
        limits = Limits.of(costs, cap, strata)
        pruned = descend(matrix, limits)
        return Series(matrix=matrix, limits=limits, pruned=pruned, uniformity=self.uniformity, seed=desk.seed)

    def _warn_about_length(self, desk: Desk, mean: float, pool_mean: float) -> None:
        if self.length_control != "off" and abs(mean / pool_mean - 1) > _LENGTH_TOLERANCE:
            desk.log(
                f"mean response length {mean:.0f} tokens, {pool_mean:.0f} in the pool: levels differ in length; "
                "use length_control=matched (or LOW-HIGH+matched), or more length_strata"
            )


def _within(allowance: Allowance, order: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """The ranking, thinned by lot where it costs too much: cutting its end would change the lengths matched."""
    shuffled = np.random.default_rng(seed).permutation(order)
    return order[np.isin(order, allowance.fit(shuffled))]
