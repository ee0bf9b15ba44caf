"""Does the judge prefer answers of its own family, more than the gold labels of the same pairs do?"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from sftbench.judging.card.finding import Finding, percent, untold
from sftbench.judging.card.gold import HUMAN, LABELS
from sftbench.judging.card.intervals import mean
from sftbench.judging.card.judged import JudgedPairs

MEASURE = "self-family preference"
ASKED = "labelled pairs of an answer by the judge's family and one by another, against what the labels say"
FAMILIES: Mapping[str, str] = {
    "gpt": r"gpt-?[345]|chatgpt|davinci|\bo[134](-|\b)",
    "claude": r"claude",
    "gemini": r"gemini|gemma|\bpalm",
    "llama": r"llama|alpaca|vicuna|koala|tulu",
    "qwen": r"qwen|qwq",
    "mistral": r"mistral|mixtral|zephyr",
    "phi": r"\bphi-?[1-4]",
    "deepseek": r"deepseek",
    "command": r"command-r",
}
"""Families by what stands in the names of their models."""


def family_of(name: str) -> str | None:
    """The family of a model by its name; None where the name tells none, or several."""
    found = [family for family, pattern in FAMILIES.items() if re.search(pattern, name.lower())]
    return found[0] if len(found) == 1 else None


def family_findings(judged: Mapping[str, JudgedPairs], model: str) -> list[Finding]:
    """How much more the judge prefers its own family's answers than the labels of the same pairs do, in points.

    Length and quality are the same on both sides of this difference. Without labels it cannot be told: that a family
    wins more often may be because it is better.
    """
    own = family_of(model)
    if own is None:
        return [untold(LABELS, MEASURE, "cannot be told: the judge's name tells no family", asked=ASKED)]
    name = next((each for each in (HUMAN, LABELS) if each in judged), None)
    if name is None:
        why = "cannot be told: no labels (--labels, --gold) name who wrote the answers"
        return [untold(LABELS, MEASURE, why, asked=ASKED)]
    asked = judged[name]
    families = [(family_of(pair.by_model), family_of(pair.by_baseline)) for pair in asked.pairs]
    side = np.array([(mine == own) - (theirs == own) if mine and theirs else 0 for mine, theirs in families])
    excess = np.where(side != 0, side * (asked.readings.preference - asked.gold), np.nan)
    num = int(np.isfinite(excess).sum())
    if not num:
        return [untold(name, MEASURE, f"cannot be told: no labelled pair sets {own} against another", asked=ASKED)]
    found = mean(excess, widest=0.5)
    return [percent(name, MEASURE, found, num, unit="points", group=own, chance=0.0, asked=ASKED)]
