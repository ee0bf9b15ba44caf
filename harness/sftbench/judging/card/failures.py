"""How often nothing could be read: unparsable verdicts, no mass on the labels, answers cut for the judge's window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.intervals import share
from sftbench.judging.card.readings import UNASKED, UNREADABLE, Readings

NAME = "all"
FAILED, CUT, UNJUDGED = "parse failures", "answers cut", "not judged"
ASKED = "every pair that was asked"


def failure_findings(all_readings: Sequence[Readings], *, asked: str = ASKED) -> list[Finding]:
    """Shares of pairs: without a readable verdict in some order, the same by flag, with answers cut, and not judged
    for another reason (which is no failure of the judge, and in no other share)."""
    flags = [each for readings in all_readings for each in readings.flags]
    preferences = np.concatenate([readings.preference for readings in all_readings] or [np.empty(0)])
    unjudged = [bool(each & {*UNASKED}) for each in flags]
    judged = [each for each, left_out in zip(flags, unjudged, strict=True) if not left_out]
    silent = ~np.isfinite(preferences[~np.array(unjudged, dtype=bool)])
    num = len(judged)
    failed = sum(bool(each & {*UNREADABLE}) or bool(mute) for each, mute in zip(judged, silent, strict=True))
    found = [percent(NAME, FAILED, share(failed, num), num, asked=asked)]
    for flag in UNREADABLE:
        hits = sum(flag in each for each in judged)
        if hits:
            found.append(percent(NAME, FAILED, share(hits, num), num, group=flag, asked=asked))
    cut = sum("judge_truncated" in each for each in judged)
    found.append(percent(NAME, CUT, share(cut, num), num, asked=asked))
    if any(unjudged):
        found.append(percent(NAME, UNJUDGED, share(sum(unjudged), len(flags)), len(flags), asked=asked))
    return found
