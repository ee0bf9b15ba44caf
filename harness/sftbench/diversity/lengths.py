"""SL: the mean number of tokens of a text."""

from __future__ import annotations

import math

from sftbench.diversity.corpus import lengths_of
from sftbench.diversity.measure import TOO_FEW, Measure, mean_bounds
from sftbench.rooms import Ragged


def mean_length(corpus: Ragged) -> Measure:
    """Mean tokens over all rows; an empty text counts as 0."""
    lengths = lengths_of(corpus).astype(float)
    value = float(lengths.mean()) if len(lengths) else math.nan
    return Measure(
        metric="length", value=value, unit="tokens", tokens=int(lengths.sum()), n=len(lengths), direction="up",
        note="" if len(lengths) else TOO_FEW, **mean_bounds(lengths),
    )  # fmt: skip
