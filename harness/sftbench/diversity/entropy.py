"""IE: Shannon entropy of the token types, over the whole vocabulary and over its middle band (arXiv 2505.24768)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import lengths_of
from sftbench.diversity.measure import TOO_FEW, Bounds, Measure, groups_of, jackknife_bounds, subset_measure
from sftbench.diversity.subsets import Subsets
from sftbench.rooms import Ragged

PAPER_ROWS = 117_000
PAPER_BAND = (10, 500)
"""Occurrences that make a type one of the middle band, in the paper's pool of that many rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TypeCounts:
    """How often each token type occurs in a pool: int64 [V], and in how many rows it was counted."""

    counts: npt.NDArray[np.int64]
    num_rows: int

    @property
    def band(self) -> npt.NDArray[np.bool_]:
        """The types of the middle band [V], the paper's thresholds scaled with the rows of the pool."""
        scale = self.num_rows / PAPER_ROWS
        low = max(2, round(PAPER_BAND[0] * scale))
        high = max(low + 1, round(PAPER_BAND[1] * scale))
        return (self.counts >= low) & (self.counts <= high)

    @classmethod
    def of(cls, corpus: Ragged) -> TypeCounts:
        """The counts of a corpus; its empty rows are no rows here."""
        return cls(counts=np.bincount(corpus.values), num_rows=int((lengths_of(corpus) > 0).sum()))


def entropies(corpus: Ragged, subsets: Subsets, pool: TypeCounts, *, seed: int) -> list[Measure]:
    """Entropy in nats: of all types, bias-corrected, at the token budget, and of the types of the pool's middle band.

    The correction is Miller and Madow's: half the number of observed types, minus one, per token.
    """
    groups = groups_of(len(corpus), seed=seed)
    num_types = max(int(corpus.values.max(initial=0)) + 1, len(pool.counts))
    by_group = _counts_by_group(corpus, groups, num_types)
    counts = by_group.sum(axis=0)
    without = counts - by_group
    band = np.zeros(num_types, dtype=np.bool_)
    band[: len(pool.counts)] = pool.band
    n = int((lengths_of(corpus) > 0).sum())
    return [
        _measure("entropy", entropy(counts), [entropy(each) for each in without], int(counts.sum()), n),
        _measure("entropy-corrected", corrected(counts), [corrected(each) for each in without], int(counts.sum()), n),
        _at_budget(corpus, subsets, num_types, [entropy(each) for each in without], n),
        _measure(
            "entropy-mid-band",
            entropy(counts[band]),
            [entropy(each[band]) for each in without],
            int(counts[band].sum()),
            n,
        ),
    ]


def entropy(counts: npt.NDArray[np.int64]) -> float:
    """-sum p log p in nats of counts [V]; NaN without any."""
    seen = counts[counts > 0]
    if not len(seen):
        return math.nan
    total = seen.sum()
    return float(np.log(total) - (seen * np.log(seen)).sum() / total)


def corrected(counts: npt.NDArray[np.int64]) -> float:
    """Entropy with the bias correction of Miller and Madow (1955)."""
    total = int(counts.sum())
    return entropy(counts) + (np.count_nonzero(counts) - 1) / (2 * total) if total else math.nan


def _at_budget(corpus: Ragged, subsets: Subsets, num_types: int, without: list[float], n: int) -> Measure:
    lengths = lengths_of(corpus)
    place = np.arange(len(corpus.values)) - np.repeat(corpus.offsets[:-1], lengths)
    values = np.array(
        [
            entropy(np.bincount(corpus.values[place < np.repeat(kept, lengths)], minlength=num_types))
            for kept in subsets.kept
        ]
    )
    if len(values) == 1:
        return _measure("entropy-at-budget", float(values[0]), without, subsets.num_tokens, n, note=subsets.note)
    if not np.isfinite(values).all():
        return _measure("entropy-at-budget", math.nan, [], subsets.num_tokens, n)
    value, edges = subset_measure(values)
    return Measure(
        metric="entropy-at-budget", value=value, unit="nats", tokens=subsets.num_tokens, n=n, direction="up", **edges
    )


def _counts_by_group(corpus: Ragged, groups: npt.NDArray[np.int64], num_types: int) -> npt.NDArray[np.int64]:
    num_groups = int(groups.max(initial=0)) + 1
    keys = np.repeat(groups, lengths_of(corpus)) * num_types + corpus.values
    return np.bincount(keys, minlength=num_groups * num_types).reshape(num_groups, num_types)


def _measure(name: str, value: float, without: list[float], tokens: int, n: int, *, note: str = "") -> Measure:
    known = math.isfinite(value)
    return Measure(
        metric=name, value=value, unit="nats", tokens=tokens, n=n, direction="up", note=note if known else TOO_FEW,
        **(jackknife_bounds(value, np.array(without, dtype=np.float64)) if known else Bounds()),
    )  # fmt: skip
