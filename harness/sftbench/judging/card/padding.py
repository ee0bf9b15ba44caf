"""Does length win? Neutral filler added to one of two equal answers and to the worse of two, and who wins by nature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sftbench.judging.card import gold, orders
from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.intervals import mean, share
from sftbench.judging.card.judged import JudgedPairs, Probe
from sftbench.judging.card.material import Material, Pair, Sampler, with_gold
from sftbench.judging.card.readings import Readings

EQUAL, WORSE = "filler on an equal", "filler on the worse"
ABOUT_EQUAL = "an answer and its copy with neutral sentences added, in both orders"
ABOUT_WORSE = "pairs with a gold label, neutral sentences added to the worse answer, against the same pairs without"
SHIFT_EQUAL, SHIFT_WORSE, LONGER = "length bias (equal answers)", "length bias (worse answer)", "prefers the longer"
_SENTENCES = (
    "I hope this is of some help to you.",
    "Please let me know if there is anything else that you would like to ask.",
    "Thank you for the question, and for taking the time to read this answer.",
    "There may be other ways to say this, and the above is one of them.",
    "If anything here is not clear, feel free to come back to it at a later time.",
    "In short, the above is what there is to say in reply to your message.",
)
_LEAST, _PART = 300, 0.5
"""Filler has at least so many characters, and at least such a part of the answer's."""


def padded(answer: str) -> str:
    """The answer with sentences after it that say nothing."""
    wanted = max(_LEAST, _PART * len(answer))
    added = " ".join(_SENTENCES)
    while len(added) < wanted:
        added += "\n\n" + " ".join(_SENTENCES)
    end = added.find(".", int(wanted) - 1)
    return f"{answer.rstrip()}\n\n{added[: end + 1] if end >= 0 else added}"


def _wanted_equal(material: Material, sampler: Sampler) -> list[Pair]:
    pairs = orders.ordinary(material, sampler)
    return [pair.against_itself(padded(pair.baseline)) for pair in pairs if pair.baseline.strip()]


def _wanted_worse(material: Material, sampler: Sampler) -> list[Pair]:
    return [_with_filler_on_the_worse(pair) for pair in with_gold(gold.plain(material, sampler))]


def _with_filler_on_the_worse(pair: Pair) -> Pair:
    assert pair.gold is not None
    if pair.gold > 0.5:
        return replace(pair, baseline=padded(pair.baseline))
    return replace(pair, model=padded(pair.model))


def _found_equal(judged: Mapping[str, JudgedPairs]) -> list[Finding]:
    if EQUAL not in judged:
        return []
    shift = judged[EQUAL].readings.preference - 0.5
    num = int(np.isfinite(shift).sum())
    found = mean(shift, widest=0.5)
    return [percent(EQUAL, SHIFT_EQUAL, found, num, unit="points", chance=0.0, asked=ABOUT_EQUAL)]


def _found_worse(judged: Mapping[str, JudgedPairs]) -> list[Finding]:
    """The paired shift: how much more the worse answer is preferred with filler than without."""
    name = next((each for each in gold.PLAIN if each in judged), None)
    if WORSE not in judged or name is None:
        return []
    without = dict(zip(judged[name].readings.ids, 1 - judged[name].for_gold, strict=True))
    with_filler = 1 - judged[WORSE].for_gold
    before = np.array([without.get(each, np.nan) for each in judged[WORSE].readings.ids])
    shift = with_filler - before
    num = int(np.isfinite(shift).sum())
    found = mean(shift, widest=0.5)
    return [percent(WORSE, SHIFT_WORSE, found, num, unit="points", chance=0.0, asked=ABOUT_WORSE)]


def longer_finding(judged: JudgedPairs, *, asked: str = orders.ABOUT) -> Finding:
    """How often the longer answer wins, where a winner is named and the lengths differ."""
    return _longer(judged.readings, np.sign(judged.length_model - judged.length_baseline), asked)


def _longer(readings: Readings, longer: np.ndarray[tuple[int], np.dtype[np.float64]], asked: str) -> Finding:
    told = readings.winners * longer
    told = told[np.isfinite(told) & (told != 0)]
    note = "longer answers are often the better ones: this alone is no bias"
    found = share((told > 0).sum(), len(told))
    return percent(orders.NAME, LONGER, found, len(told), chance=50.0, asked=asked, note=note if len(told) else "")


def _found_longer(judged: Mapping[str, JudgedPairs]) -> list[Finding]:
    return [longer_finding(judged[orders.NAME])] if orders.NAME in judged else []


PROBES = (
    Probe(name=EQUAL, about=ABOUT_EQUAL, wanted=_wanted_equal, found=_found_equal),
    Probe(name=WORSE, about=ABOUT_WORSE, wanted=_wanted_worse, found=_found_worse),
    Probe(name="longer", about=orders.ABOUT, wanted=lambda material, sampler: [], found=_found_longer),
)
