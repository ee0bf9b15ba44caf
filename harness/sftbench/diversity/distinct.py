"""NR_n, also called Distinct-n: how many of the n-grams are different ones (arXiv 2505.24768, Table 1; 2506.19262)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import lengths_of
from sftbench.diversity.grams import Grams, grams
from sftbench.diversity.measure import (
    TOO_FEW,
    Bounds,
    Floats,
    Measure,
    groups_of,
    jackknife_bounds,
    joined_notes,
    subset_measure,
)
from sftbench.diversity.subsets import Subsets
from sftbench.rooms import Ragged

MAX_N = 5
"""The first paper leaves n open (1 to 4 are usual), the second takes 5."""


def distinct(corpus: Ragged, subsets: Subsets, *, seed: int, suffix: str = "") -> list[Measure]:
    """Distinct-1 to Distinct-5 of the whole corpus, then of subsets with a fixed number of tokens.

    The share falls with the size of the corpus, so only the latter compare sets of different size.
    """
    groups = groups_of(len(corpus), seed=seed)
    num_groups, num_subsets = int(groups.max(initial=0)) + 1, len(subsets.kept)
    # Row 0 stands for no n: the others are 1 to MAX_N. Column 0 is the whole corpus, then each group left out.
    totals, kinds = np.zeros((2, MAX_N + 1, 1 + num_groups))
    subset_totals, subset_kinds = np.zeros((2, MAX_N + 1, num_subsets))
    for each in grams(corpus, MAX_N):
        of_group = groups[each.rows]
        totals[each.n] += len(each.ids)
        totals[each.n, 1:] -= np.bincount(of_group, minlength=num_groups)
        kinds[each.n] += each.num_kinds
        kinds[each.n, 1:] -= _only_in_one(each, of_group, num_groups)
        for index, kept in enumerate(subsets.kept):
            held = each.ids[each.ends <= kept[each.rows]]
            subset_totals[each.n, index] += len(held)
            subset_kinds[each.n, index] += np.count_nonzero(np.bincount(held, minlength=1))
    lengths = lengths_of(corpus)
    whole = [_whole(n, suffix, lengths, _share(kinds[n], totals[n])) for n in range(1, MAX_N + 1)]
    return whole + [
        _budgeted(whole[n - 1], subsets, _share(subset_kinds[n], subset_totals[n])) for n in range(1, MAX_N + 1)
    ]


def _only_in_one(each: Grams, of_group: npt.NDArray[np.int64], num_groups: int) -> Floats:
    """How many kinds occur in one group of rows alone, per group [G]."""
    lowest = np.full(each.num_kinds, num_groups)
    highest = np.full(each.num_kinds, -1)
    np.minimum.at(lowest, each.ids, of_group)
    np.maximum.at(highest, each.ids, of_group)
    return np.bincount(lowest[lowest == highest], minlength=num_groups).astype(np.float64)


def _whole(n: int, suffix: str, lengths: npt.NDArray[np.int64], shares: Floats) -> Measure:
    """`shares` holds that of the whole corpus and those with each group left out."""
    value = float(shares[0])
    num_short = int(((lengths > 0) & (lengths < n)).sum())
    return Measure(
        metric=f"distinct-{n}{suffix}",
        value=value,
        unit="share",
        tokens=int(lengths.sum()),
        n=int((lengths > 0).sum()),
        direction="up",
        note=joined_notes("" if math.isfinite(value) else TOO_FEW, f"shorter_than_n: {num_short}" if num_short else ""),
        **(jackknife_bounds(value, shares[1:]) if math.isfinite(value) else Bounds()),
    )


def _budgeted(whole: Measure, subsets: Subsets, shares: Floats) -> Measure:
    """The same at the budget. A corpus that does not reach it keeps its own value, with a note."""
    named = replace(whole, metric=f"{whole.metric}-at-budget", tokens=subsets.num_tokens)
    if len(shares) == 1:
        return replace(named, note=joined_notes(whole.note, subsets.note))
    if not np.isfinite(shares).all():
        return replace(named, value=math.nan, ci_lo=math.nan, ci_hi=math.nan, note=TOO_FEW)
    value, edges = subset_measure(shares)
    return replace(named, value=value, ci_lo=edges["ci_lo"], ci_hi=edges["ci_hi"])


def _share(kinds: Floats, totals: Floats) -> Floats:
    shares: Floats = np.divide(kinds, totals, out=np.full(len(kinds), np.nan), where=totals > 0)
    return shares
