"""Does the verdict change when the answers change places? Ordinary pairs of answers by two models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sftbench.judging.card.finding import Finding, percent, untold
from sftbench.judging.card.intervals import mean, share
from sftbench.judging.card.judged import JudgedPairs, Probe
from sftbench.judging.card.material import Material, Pair, Sampler
from sftbench.judging.card.readings import Readings
from sftbench.judging.resampling import Floats

NAME = "orders"
ABOUT = "two models' answers to one prompt, in both orders"
FLIPS, REVERSALS, POSITION, NOISE = "order flips", "order reversals", "position bias", "noise between orders"


def ordinary(material: Material, sampler: Sampler) -> list[Pair]:
    """Pairs like those that a run has: natural ones, else gold ones, else those made here."""
    return sampler.of(material.natural or material.gold or material.labelled or material.human or material.own)


def order_findings(readings: Readings, *, asked: str = ABOUT) -> list[Finding]:
    """Flips (another winner, ties included, in the other order), reversals (the opposite winner), bias towards the
    first place (mean of the two readings of "the first wins", minus one half), and the noise of one verdict."""
    first, second = readings.in_both_orders
    known = np.isfinite(first) & np.isfinite(second)
    num = int(known.sum())
    if not num:
        return [
            untold(NAME, each, "the judge tells nothing of single orders", asked=asked) for each in (FLIPS, POSITION)
        ]
    first, second = first[known], second[known]
    bias = (readings.model_first[known] + readings.baseline_first[known]) / 2 - 0.5
    part = noise_part(readings)
    return [
        percent(NAME, FLIPS, share((first != second).sum(), num), num, asked=asked),
        percent(NAME, REVERSALS, share((first * second < 0).sum(), num), num, asked=asked),
        percent(NAME, POSITION, mean(bias, widest=0.5), num, unit="points", chance=0.0, asked=asked),
        Finding(
            probe=NAME, measure=NOISE, value=None if part is None else 100 * part, low=None, high=None, num=num,
            asked=asked, note="part of the scatter between items that is the judge's own; win rates have it inside",
        ),
    ]  # fmt: skip


def noise_part(readings: Readings) -> float | None:
    """How much of the variance of preferences between items is the judge disagreeing with itself, 0 to 1.

    The two readings of an item for the model are f1 and 1 - f2; half of the variance of their difference over 2 is the
    variance of their mean that is noise. A bias for one place is the same on all items and is taken out. None where
    there is nothing to compare.
    """
    gaps: Floats = readings.model_first - (1 - readings.baseline_first)
    means: Floats = (readings.model_first + 1 - readings.baseline_first) / 2
    known = np.isfinite(gaps)
    total = float(means[known].var(ddof=1)) if known.sum() > 1 else 0.0
    return min(1.0, float(gaps[known].var(ddof=1)) / 4 / total) if total > 0 else None


def _found(judged: Mapping[str, JudgedPairs]) -> list[Finding]:
    return order_findings(judged[NAME].readings) if NAME in judged else []


PROBE = Probe(name=NAME, about=ABOUT, wanted=ordinary, found=_found)
