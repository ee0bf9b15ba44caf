"""Is an answer as good as itself? Against a copy with one space more, so that it is not taken for identical."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.intervals import mean, share
from sftbench.judging.card.judged import JudgedPairs, Probe
from sftbench.judging.card.material import Material, Pair, Sampler
from sftbench.judging.card.orders import ordinary

NAME = "equal"
ABOUT = "an answer and its copy with one space doubled, in both orders"
RATE, TIES = "A against A", "A against A: named a winner"


def _wanted(material: Material, sampler: Sampler) -> list[Pair]:
    return [
        pair.against_itself(copied)
        for pair in ordinary(material, sampler)
        if (copied := pair.baseline.replace(" ", "  ", 1)) != pair.baseline
    ]


def _found(judged: Mapping[str, JudgedPairs]) -> list[Finding]:
    if NAME not in judged:
        return []
    readings = judged[NAME].readings
    named = readings.winners[np.isfinite(readings.winners)]
    num = len(named)
    return [
        percent(NAME, RATE, mean(readings.preference, widest=0.5), num, chance=50.0, asked=ABOUT),
        percent(NAME, TIES, share((named != 0).sum(), num), num, chance=0.0, asked=ABOUT),
    ]


PROBE = Probe(name=NAME, about=ABOUT, wanted=_wanted, found=_found)
