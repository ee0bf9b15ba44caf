"""Does the judge agree with what is known to be right? Labels, LLMBar (arXiv 2310.07641), or tasks made here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.intervals import mean, share
from sftbench.judging.card.judged import JudgedPairs, Probe
from sftbench.judging.card.material import Material, Pair, Sampler
from sftbench.judging.resampling import Floats

HUMAN, LABELS, NATURAL, ADVERSARIAL, OWN = "human votes", "labels", "llmbar natural", "llmbar adversarial", "own tasks"
PLAIN = (HUMAN, LABELS, NATURAL, OWN)
"""Sets of pairs like those of a run, the most telling first; adversarial ones are harder than any run's."""
ABOUT = {
    HUMAN: "pairs that people voted on, of one turn or two, the whole dialogue shown, in both orders",
    LABELS: "pairs with labels from a file, in both orders",
    NATURAL: "LLMBar's natural pairs, one answer objectively better, in both orders",
    ADVERSARIAL: "LLMBar's pairs whose worse answer looks better, in both orders",
    OWN: "short tasks with a right and a wrong answer, in both orders",
}
S2, S1, FOR_GOLD = "agreement (S2)", "agreement with ties (S1)", "preference for the gold answer"


def plain(material: Material, sampler: Sampler) -> list[Pair]:
    """The pairs of the most telling set that is there, which a probe may change and ask again."""
    return sampler.of(material.human or material.labelled or material.gold or material.own)


def _adversarial(material: Material, sampler: Sampler) -> list[Pair]:
    return sampler.of(material.adversarial)


def _own(material: Material, sampler: Sampler) -> list[Pair]:
    """Where there is nothing better."""
    return [] if material.human or material.labelled or material.gold else sampler.of(material.own)


def agreement(judged: JudgedPairs, name: str, group: str = "") -> list[Finding]:
    """S2: the share of verdicts that name the better answer, of those that name one, where gold names one too. S1: the
    share of all verdicts that are the gold label, a tie being one (arXiv 2306.05685, section 4.2); chance is what
    verdicts with these rates, dealt at random, would agree in. Then the mean preference for the better answer."""
    said, gold = judged.readings.winners, np.sign(judged.gold - 0.5)
    known = np.isfinite(said) & np.isfinite(gold)
    said, gold = said[known], gold[known]
    named = (said != 0) & (gold != 0)
    preferred = judged.for_gold
    num_preferred = int(np.isfinite(preferred).sum())
    num = int(named.sum())
    note = "" if num else "the judge never named a winner" if len(said) else "no verdict could be read"
    return [
        percent(
            name,
            S2,
            share((said == gold)[named].sum(), num),
            num,
            chance=50.0,
            note=note,
            group=group,
            asked=ABOUT[name],
        ),
        percent(
            name,
            S1,
            share((said == gold).sum(), len(said)),
            len(said),
            chance=100 * agreed_by_chance(said, gold),
            group=group,
            asked=ABOUT[name],
        ),
        percent(
            name, FOR_GOLD, mean(preferred, widest=0.5), num_preferred, chance=50.0, group=group, asked=ABOUT[name]
        ),
    ]


def agreed_by_chance(said: Floats, gold: Floats) -> float:
    """How often verdicts and labels (-1, 0, 1 each) would agree if they were dealt at random."""
    if not len(said):
        return 0.0
    return sum(float((said == label).mean() * (gold == label).mean()) for label in (-1, 0, 1))


def _found(judged: Mapping[str, JudgedPairs], *, name: str) -> list[Finding]:
    if name not in judged:
        return []
    groups = sorted(set(judged[name].groups) - {""})
    by_group = [agreement(judged[name].of_group(group), name, group) for group in groups if len(groups) > 1]
    return agreement(judged[name], name) + [finding for each in by_group for finding in each]


PROBES = (
    Probe(
        name=LABELS, about=ABOUT[LABELS], wanted=lambda material, sampler: sampler.of(material.labelled),
        found=partial(_found, name=LABELS),
    ),
    Probe(
        name=NATURAL, about=ABOUT[NATURAL], wanted=lambda material, sampler: sampler.of(material.gold),
        found=partial(_found, name=NATURAL),
    ),
    Probe(name=ADVERSARIAL, about=ABOUT[ADVERSARIAL], wanted=_adversarial, found=partial(_found, name=ADVERSARIAL)),
    Probe(name=OWN, about=ABOUT[OWN], wanted=_own, found=partial(_found, name=OWN)),
)  # fmt: skip
