"""Bootstrap draws of prompts: one draw for all models, so that differences between models are paired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its bounds and its standard error, all in the unit of the estimate; NaN where there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    standard_error: float = float("nan")

    def percent(self) -> Interval:
        """The same, times 100."""
        return Interval(
            value=100 * self.value,
            low=100 * self.low,
            high=100 * self.high,
            standard_error=100 * self.standard_error,
        )


def draw_prompts(num_prompts: int, num_resamples: int, seed: int) -> Floats:
    """How often each prompt is in each draw of `num_prompts` with replacement [B, P]."""
    generator = np.random.default_rng(seed)
    shares = np.full(num_prompts, 1 / num_prompts)
    return generator.multinomial(num_prompts, shares, size=num_resamples).astype(np.float64)


def interval(value: float, drawn: Floats, *, confidence: float = CONFIDENCE) -> Interval:
    """Percentile bounds of the draws [B]; draws that have no value (a model without any prompt in it) are left out."""
    known = drawn[np.isfinite(drawn)]
    if len(known) < 2:
        return Interval(value=value)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value=value, low=float(low), high=float(high), standard_error=float(known.std(ddof=1)))


def weighted_means(weights: Floats, values: Floats) -> Floats:
    """The means [B] of `values` [n] under `weights` [B, n]; NaN where all weights are 0."""
    totals = weights.sum(axis=1)
    means = np.divide(weights @ values, totals, out=np.full(len(weights), np.nan), where=totals > 0)
    return np.asarray(means, dtype=np.float64)
