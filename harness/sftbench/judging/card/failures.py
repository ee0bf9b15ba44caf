"""How often nothing could be read: unparsable verdicts, no mass on the labels, answers cut for the judge's window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.intervals import share
from sftbench.judging.card.readings import FAILURES, Readings

NAME = "all"
FAILED, CUT = "parse failures", "answers cut"
ASKED = "every pair that was asked"


def failure_findings(all_readings: Sequence[Readings], *, asked: str = ASKED) -> list[Finding]:
    """Shares of pairs: without a readable verdict in some order, the same by flag, and with answers cut."""
    flags = [each for readings in all_readings for each in readings.flags]
    preferences = np.concatenate([readings.preference for readings in all_readings] or [np.empty(0)])
    num = len(flags)
    failed = sum(
        bool(each & {*FAILURES}) or not np.isfinite(preference)
        for each, preference in zip(flags, preferences, strict=True)
    )
    found = [percent(NAME, FAILED, share(failed, num), num, chance=None, asked=asked)]
    for flag in FAILURES:
        hits = sum(flag in each for each in flags)
        if hits:
            found.append(percent(NAME, FAILED, share(hits, num), num, group=flag, asked=asked))
    cut = sum("judge_truncated" in each for each in flags)
    return [*found, percent(NAME, CUT, share(cut, num), num, asked=asked)]
