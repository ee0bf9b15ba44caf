"""How far two judges agree on the same pairs of answers: on the verdict, and in the games of either order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftbench.judging.card.intervals import share
from sftbench.judging.card.readings import Readings
from sftbench.judging.resampling import Floats

Reading = tuple[float, float]
"""Of one pair: the winner with the model first, and with the baseline first; 1 the model, -1 the baseline, 0 a tie."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The share of `num` pairs on which both judges name the same winner, with Wilson's 95 % interval.

    Pairs of one item are not independent of each other, so that the interval counts items, `num_items`, not pairs.
    """

    value: float
    low: float
    high: float
    num: int
    num_items: int


@dataclass(frozen=True, kw_only=True)
class OfOrders:
    """Agreement on the games of one order, `model first` or `baseline first`."""

    order: str
    agreement: Agreement


def agreement_of(one: Floats, other: Floats, items: Sequence[str]) -> Agreement:
    """Of two lists of winners [n] on the same pairs, without NaN, and the items that these are of."""
    num_items = len(set(items))
    same = float(np.mean(one == other))
    found = share(same * num_items, num_items)
    return Agreement(value=same, low=found.low, high=found.high, num=len(one), num_items=num_items)


def orders_of(told: Sequence[Reading], here: Readings, items: Sequence[str]) -> tuple[OfOrders, ...]:
    """Agreement in each order, on the pairs of which both judges tell that game; no entry where there is none."""
    found = []
    published = np.array(told, dtype=np.float64).reshape(-1, 2).T
    for order, theirs, mine in zip(("model first", "baseline first"), published, here.in_both_orders, strict=True):
        known = np.flatnonzero(np.isfinite(theirs) & np.isfinite(mine)).tolist()
        if known:
            of = agreement_of(theirs[known], mine[known], [items[index] for index in known])
            found.append(OfOrders(order=order, agreement=of))
    return tuple(found)
