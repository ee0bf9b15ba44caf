"""The threshold of the race, fixed before it starts: that of the clean tokens, corrected on a few rows with noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    [j, k] of a few of these. That the few differ from the pool is known without noise, where both were seen;
    so much of that difference is taken out of their noisy percentile as goes together with it (the regression
    estimator of survey sampling: Cochran 1977, Sampling Techniques, ch. 7; in logarithms).
    """
    with DeltaFile(folder / "tshirt-clean.f32", num_values=num_values) as every:
        for row in rows:
            every.append(clean(int(row)))
        of_all = every.percentile(percent)
    if not noisy:
        return of_all, of_all
    few = [(clean(row), deltas) for row, deltas in noisy.items()]
    before = np.percentile(np.abs(np.concatenate([each.ravel() for each, _ in few])), percent)
    after = np.percentile(np.abs(np.concatenate([deltas.ravel() for _, deltas in few])), percent)
    if not (before > 0 and of_all > 0):
        return np.float64(after), of_all
    slope = _slope(few, before, after, share=percent / 100)
    return np.float64(after * (of_all / before) ** slope), of_all


def _slope(few: Sequence[tuple[Deltas, Deltas]], before: np.float64, after: np.float64, *, share: float) -> float:
    """How far rows with many clean tokens below their percentile have many noisy ones below theirs."""
    excess = np.array(
        [
            [
                (np.abs(clean) <= before).sum() - share * clean.size,
                (np.abs(noisy) <= after).sum(axis=1).mean() - share * clean.size,
            ]
            for clean, noisy in few
        ]
    )
    size = (excess[:, 0] ** 2).sum()
    return float(np.clip((excess[:, 0] * excess[:, 1]).sum() / size, 0, 1)) if size > 0 else 1.0
