"""Does the judge say the same when it is asked the same again, past every cache?"""

from __future__ import annotations

import numpy as np

from sftbench.judging.card.finding import Finding, percent, untold
from sftbench.judging.card.intervals import share
from sftbench.judging.card.judged import JudgedPairs
from sftbench.judging.card.readings import Readings

NAME = "repeat"
MEASURE, REVERSED = "contradiction on repeat", "contradiction on repeat: the opposite"
ASKED = "the same pairs in both orders, asked anew past every cache, with another seed"


def repeat_findings(once: JudgedPairs | None, again: Readings | None, *, why_not: str = "") -> list[Finding]:
    """The share of pairs with another verdict the second time, and with the opposite one."""
    if once is None or again is None:
        return [untold(NAME, MEASURE, why_not or "not asked again", asked=ASKED)]
    first = dict(zip(once.readings.ids, once.readings.winners, strict=True))
    pairs = [(first.get(name, np.nan), winner) for name, winner in zip(again.ids, again.winners, strict=True)]
    told = [(one, other) for one, other in pairs if np.isfinite(one) and np.isfinite(other)]
    num = len(told)
    differ = sum(one != other for one, other in told)
    oppose = sum(one * other < 0 for one, other in told)
    return [
        percent(NAME, MEASURE, share(differ, num), num, asked=ASKED),
        percent(NAME, REVERSED, share(oppose, num), num, asked=ASKED),
    ]
