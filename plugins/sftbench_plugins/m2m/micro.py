"""The selector: a training set with as many mid-frequency token types as the level asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Scores, Selection, param
from sftbench_plugins.m2m.axis import Axis, Types
from sftbench_plugins.m2m.bands import Band, find_band

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from sftbench_plugins.m2m.reading import Reading, Segmenter


@dataclass(frozen=True, kw_only=True)
class Micro(Axis):
    """Micro-level diversity (arXiv 2505.24768): types are the base model's token ids in one side of the rows.

    `paper` is a reconstruction; no code of the authors exists. See the README beside this file.
    """

    name: ClassVar[str] = "micro"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    component: Literal["instruction", "response"] = param("response", "side of the rows whose types count")
    bands: Literal["auto", "per_doc", "absolute", "per_token", "calibrated"] = param(
        "auto", "how the two thresholds follow the size of the pool"
    )
    band_low: int = param(10, "occurrences below which a type is too rare, in a pool of 117,000 rows")
    band_high: int = param(500, "occurrences above which a type is too frequent, in a pool of 117,000 rows")
    segmentation: Literal["tokens", "words"] = param("tokens", "what a type is: a token id or a lower-cased word")
    tokenizer: str = param("student", "student (the base model's) or the folder of another tokenizer")
    prune_key: Literal["exclusive", "distinct"] = param("exclusive", "rows that go first: sole holders or most types")
    batch: int = param(256, "keys are made anew after every removal of 1/batch of the rows left")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch", "band_low"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
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
        from sftbench_plugins.m2m.prune import prune

        reading, segment = self._read(pool, self.admits(desk.response_lengths()), desk)
        band, matrix = self._types(reading, segment)
        return self.selection(
            Types(
                matrix=matrix,
                left_out={"outside_length_range": ~reading.counted},
                empty=reading.empty,
                noun=f"mid-band types in their {self.component}",
                typeless="no_mid_band_type",
                advice="More rows have such types with bands=calibrated",
            ),
            partial(prune, key=self.prune_key, batch=self.batch),
            pool=pool,
            allowance=allowance,
            desk=desk,
            about={"component": self.component, "segmentation": self.segmentation, **_banded(reading, band, matrix)},
            counted={"duplicate_text": reading.num_duplicate_texts},
        )

    def _read(self, pool: Pool, wanted: npt.NDArray[np.bool_], desk: Desk) -> tuple[Reading, Segmenter]:
        from sftbench_plugins.m2m.reading import Tokens, Words, read

        student = self.tokenizer == "student"
        words = self.segmentation == "words"
        segment: Segmenter = Words() if words else Tokens(desk.tokenizer("base" if student else "foreign"))
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


def _banded(reading: Reading, band: Band, matrix: csr_array) -> dict[str, Json]:
    """Where the band lies, and how many types lie below, in and above it."""
    seen = reading.occurrences[reading.occurrences > 0]
    return {
        "band": {"kind": band.kind, "low": band.low, "high": band.high},
        "num_types": {
            "low": int((seen < band.low).sum()),
            "mid": matrix.shape[1],
            "high": int((seen > band.high).sum()),
        },
        "mean_types_per_row": float(matrix.nnz / max(1, int((reading.counted & ~reading.empty).sum()))),
    }
