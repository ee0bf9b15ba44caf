"""The selector: a training set with as many mid-frequency token types as the level asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.m2m.bands import Band, find_band
from sftbench_plugins.m2m.lengths import LengthControl, Limits, length_strata

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from sftbench_plugins.m2m.reading import Reading, Segmenter
    from sftbench_plugins.m2m.series import Series

_LENGTH_TOLERANCE = 0.01
"""Two levels that are each this near to the mean of the pool are within 2 % of each other."""


@dataclass(frozen=True, kw_only=True)
class Micro:
    """Micro-level diversity (arXiv 2505.24768): types are the base model's token ids in one side of the rows.

    `paper` is a reconstruction; no code of the authors exists. See the README beside this file.
    """

    name: ClassVar[str] = "micro"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    component: Literal["instruction", "response"] = param("response", "side of the rows whose types count")
    level: float = param(100.0, "point on the axis from fewest (0) to most (100) types at this budget, in percent")
    levels: int = param(7, "points of the axis that the report lists")
    bands: Literal["auto", "per_doc", "absolute", "per_token", "calibrated"] = param(
        "auto", "how the two thresholds follow the size of the pool"
    )
    band_low: int = param(10, "occurrences below which a type is too rare, in a pool of 117,000 rows")
    band_high: int = param(500, "occurrences above which a type is too frequent, in a pool of 117,000 rows")
    segmentation: Literal["tokens", "words"] = param("tokens", "what a type is: a token id or a lower-cased word")
    tokenizer: str = param("student", "student (the base model's) or the folder of another tokenizer")
    prune_key: Literal["exclusive", "distinct"] = param("exclusive", "rows that go first: sole holders or most types")
    batch: int = param(256, "keys are made anew after every removal of 1/batch of the rows left")
    uniformity: Literal["rarest", "none"] = param("rarest", "what fills up after the cover: rarest type, or any row")
    length_control: str = param("off", "off, LOW-HIGH (response tokens), matched, or LOW-HIGH+matched")
    length_strata: int = param(200, "quantile groups of response length for `matched`")
    keep_empty: bool = param(False, "keep rows without mid-band types as filler")

    def __post_init__(self) -> None:
        LengthControl.parse(self.length_control)
        if not 0 <= self.level <= 100:
            raise ValueError(f"level is a percentage from 0 to 100, not {self.level:g}")
        for name, least in (("levels", 2), ("batch", 1), ("length_strata", 1), ("band_low", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")
        if self.band_high < self.band_low:
            raise ValueError(f"band_high is {self.band_high}, below band_low, which is {self.band_low}")

    def needs(self) -> Needs:
        if self.segmentation != "tokens":
            return Needs(lengths=True)
        if self.tokenizer == "student":
            return Needs(language_models=("base",), lengths=True)
        return Needs(tokenizers={"foreign": self.tokenizer}, lengths=True)

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Cover the types of the level's pool, then fill so that types occur equally often.

        Raises `UsageError`, with the largest feasible budget, when too few rows hold mid-band types.
        """
        from sftbench_plugins.m2m.report import describe

        lengths = desk.response_lengths()
        reading, segment = self._read(pool, lengths, desk)
        band, matrix = self._types(reading, segment)
        rows = self._eligible(reading, matrix, allowance)
        series = self._series(matrix[rows], lengths[rows], allowance.row_costs[rows], allowance.cap, desk.seed)
        order = _within(allowance, rows[series.at(self.level).rows], desk.seed)
        chosen = np.searchsorted(rows, order)
        report: dict[str, Json] = {"component": self.component, "segmentation": self.segmentation}
        report |= describe(series, level=self.level, num_levels=self.levels, chosen=chosen, lengths=lengths[rows])
        report |= _account(reading, band, matrix, rows)
        self._warn_about_length(desk, float(lengths[order].mean()), float(lengths[rows].mean()))
        ids = pool.ids
        return Selection(ids=tuple(ids[position] for position in order), report=report)

    def _read(self, pool: Pool, lengths: npt.NDArray[np.int64], desk: Desk) -> tuple[Reading, Segmenter]:
        from sftbench_plugins.m2m.reading import Tokens, Words, read

        student = self.tokenizer == "student"
        words = self.segmentation == "words"
        segment: Segmenter = Words() if words else Tokens(desk.tokenizer("base" if student else "foreign"))
        wanted = LengthControl.parse(self.length_control).admits(lengths)
        path = desk.scratch / "types.int32"
        with desk.progress(len(pool), "rows") as progress:
            reading = read(pool, self.component, segment=segment, wanted=wanted, path=path, progress=progress)
        return reading, segment

    def _types(self, reading: Reading, segment: Segmenter) -> tuple[Band, csr_array]:
        reading.occurrences[segment.ignored] = reading.num_holders[segment.ignored] = 0
        band = find_band(
            self.bands,
            (self.band_low, self.band_high),
            occurrences=reading.occurrences,
            num_holders=reading.num_holders,
            num_rows=int((reading.counted & ~reading.empty).sum()),
        )
        matrix = reading.incidence(band.holds(reading.occurrences))
        reading.path.unlink()
        return band, matrix

    def _eligible(self, reading: Reading, matrix: csr_array, allowance: Allowance) -> npt.NDArray[np.int64]:
        costs = allowance.row_costs
        has_types = np.diff(matrix.indptr) > 0
        rows = np.flatnonzero(reading.counted & (has_types | self.keep_empty) & (costs > 0) & np.isfinite(costs))
        within_reach = float(costs[rows].sum())
        if not has_types[rows].any() or within_reach < allowance.cap * (1 - 1e-9):
            raise UsageError(
                f"micro: no level is feasible: {len(rows)} of {len(reading.counted)} rows have mid-band types in "
                f"their {self.component}, worth {within_reach:g} {allowance.unit}, and the budget is "
                f"{allowance.cap:g} {allowance.unit}; the largest feasible budget is {within_reach:g}. More rows "
                "have such types with bands=calibrated; keep_empty=true admits the others"
            )
        return rows

    def _series(
        self,
        matrix: csr_array,
        lengths: npt.NDArray[np.int64],
        costs: npt.NDArray[np.float64],
        cap: float,
        seed: int,
    ) -> Series:
        from sftbench_plugins.m2m.prune import prune
        from sftbench_plugins.m2m.series import Series

        strata = np.zeros(len(lengths), dtype=np.int64)
        if LengthControl.parse(self.length_control).matched:
            strata = length_strata(lengths, self.length_strata)
            # A stratum's part of a budget in costs may be less than one row: rows of matched length cost the mean.
            costs, cap = np.ones(len(costs)), min(len(costs), cap / float(costs.mean()))
        limits = Limits.of(costs, cap, strata)
        pruned = prune(matrix, limits, key=self.prune_key, batch=self.batch)
        return Series(matrix=matrix, limits=limits, pruned=pruned, uniformity=self.uniformity, seed=seed)

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


def _account(reading: Reading, band: Band, matrix: csr_array, rows: npt.NDArray[np.int64]) -> dict[str, Json]:
    """What became of the rows and types of the pool on the way to the rows that may be chosen."""
    has_types = np.diff(matrix.indptr) > 0
    seen = reading.occurrences[reading.occurrences > 0]
    return {
        "band": {"kind": band.kind, "low": band.low, "high": band.high},
        "num_types": {
            "low": int((seen < band.low).sum()),
            "mid": matrix.shape[1],
            "high": int((seen > band.high).sum()),
        },
        "num_rows": {
            "pool": len(reading.counted),
            "eligible": len(rows),
            "outside_length_range": int((~reading.counted).sum()),
            "empty_component": int(reading.empty.sum()),
            "no_mid_band_type": int((reading.counted & ~reading.empty & ~has_types).sum()),
            "duplicate_text": reading.num_duplicate_texts,
        },
        "mean_types_per_row": float(matrix.nnz / max(1, int((reading.counted & ~reading.empty).sum()))),
    }
