"""The threshold of the race, fixed before it starts: that of the clean tokens, corrected on a few rows with noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sftbench_plugins.tshirt.threshold import DeltaFile

Deltas = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]
_LEAST, _MOST, _SHARE = 64, 2048, 0.05


def pilot_rows(candidates: IndexArray, rng: np.random.Generator) -> IndexArray:
    """Some candidates at random: a twentieth of them, but at least 64 and at most 2048. Rising."""
    wanted = min(_MOST, max(_LEAST, round(_SHARE * len(candidates))))
    return np.sort(rng.choice(candidates, min(wanted, len(candidates)), replace=False))


def pilot_threshold(
    clean: Callable[[int], Deltas],
    rows: IndexArray,
    noisy: Mapping[int, Deltas],
    *,
    num_values: int,
    percent: float,
    folder: Path,
) -> tuple[np.float64, np.float64]:
    """The percentile of |Delta| over all noisy copies, estimated, and that over the clean ones, exact; in nats.

    `clean(row)` gives float32 [1, k] for each of `rows` (`num_values` tokens in all), `noisy` some copies
    [j, k] of a few of these. Noise shifts the percentile of the whole pool about as it shifts that of the
    few: their ratio of the two corrects the clean one, which has the error of no sample.
    """
    with DeltaFile(folder / "tshirt-clean.f32", num_values=num_values) as every:
        for row in rows:
            every.append(clean(int(row)))
        of_all = every.percentile(percent)
    if not noisy:
        return of_all, of_all
    before = np.percentile(np.abs(np.concatenate([clean(row).ravel() for row in noisy])), percent)
    after = np.percentile(np.abs(np.concatenate([each.ravel() for each in noisy.values()])), percent)
    return np.float64(of_all * (after / before) if before > 0 else after), of_all
