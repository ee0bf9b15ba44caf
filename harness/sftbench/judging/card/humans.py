"""Does the judge agree with people as often as people do with one another? Votes, as in MT-Bench (arXiv 2306.05685)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from sftbench.judging.card.finding import Finding, percent
from sftbench.judging.card.gold import ABOUT, FOR_GOLD, HUMAN, S1, S2, agreed_by_chance
from sftbench.judging.card.intervals import clustered_share, mean
from sftbench.judging.card.judged import JudgedPairs, Probe
from sftbench.judging.card.material import Pair
from sftbench.judging.resampling import Floats

AMONG_S2, AMONG_S1 = "agreement between people (S2)", "agreement between people with ties (S1)"
MAJORITY = "agreement with the majority (S2)"
_ASKED = "two votes of different people on one of these pairs"
_Sides = tuple[Floats, Floats, list[str]]
"""Two verdicts each of n cases (1 the model, -1 the baseline, 0 a tie), and to which cluster a case belongs."""


def human_findings(judged: JudgedPairs, group: str = "") -> list[Finding]:
    """Agreement of a verdict with each vote on its pair (section 4.2 of the paper): S1 counts ties, and verdicts that
    the order changed as ties; S2 leaves out where one of the two is a tie. Then the same of two votes of different
    people, agreement with the majority of each pair, and the mean preference for the answer that the majority prefers.

    Bounds hold for other questions: the votes on one question, in both turns and on all models, are one cluster.
    """
    said = judged.readings.winners
    of_judge = _with_each_vote(judged.pairs, said)
    among = _among_people(judged.pairs)
    majority = np.sign(judged.gold - 0.5)
    known = np.isfinite(said)
    of_majority = (
        said[known], majority[known], [_cluster(judged.pairs[at]) for at in np.flatnonzero(known)],
    )  # fmt: skip
    preferred = judged.for_gold
    for_majority = mean(preferred, widest=0.5, clusters=[_cluster(pair) for pair in judged.pairs])
    return [
        _named(S2, of_judge, group, ABOUT[HUMAN], "the judge never named a winner"),
        _all(S1, of_judge, group, ABOUT[HUMAN], chance=agreed_by_chance(*of_judge[:2])),
        _named(MAJORITY, of_majority, group, ABOUT[HUMAN], "the judge never named a winner"),
        percent(
            HUMAN, FOR_GOLD, for_majority, int(np.isfinite(preferred).sum()), chance=50.0, group=group,
            asked=ABOUT[HUMAN],
        ),
        _named(AMONG_S2, among, group, _ASKED, "no pair has two people who named a winner"),
        # Neither of two people is the first of them.
        _all(AMONG_S1, among, group, _ASKED, chance=agreed_by_chance(*(np.concatenate(among[:2]),) * 2)),
    ]  # fmt: skip


def _named(measure: str, sides: _Sides, group: str, asked: str, without: str) -> Finding:
    one, other, clusters = sides
    named = (one != 0) & (other != 0)
    hits = (one == other)[named].astype(np.float64)
    found = clustered_share(hits, list(itertools.compress(clusters, named)))
    note = "" if len(hits) else without if len(one) else ""
    return percent(HUMAN, measure, found, len(hits), chance=50.0, group=group, asked=asked, note=note)


def _all(measure: str, sides: _Sides, group: str, asked: str, *, chance: float) -> Finding:
    one, other, clusters = sides
    found = clustered_share((one == other).astype(np.float64), clusters)
    return percent(HUMAN, measure, found, len(one), chance=100 * chance, group=group, asked=asked)


def _with_each_vote(pairs: Sequence[Pair], said: Floats) -> _Sides:
    cases = [
        (winner, _side(vote.preference), _cluster(pair))
        for pair, winner in zip(pairs, said, strict=True)
        if np.isfinite(winner)
        for vote in pair.votes
    ]
    return _sides(cases)


def _among_people(pairs: Sequence[Pair]) -> _Sides:
    """Every two votes on one pair, but for two by the same person."""
    return _sides(
        [
            (_side(one.preference), _side(other.preference), _cluster(pair))
            for pair in pairs
            for one, other in itertools.combinations(pair.votes, 2)
            if one.voter != other.voter
        ]
    )


def _sides(cases: Sequence[tuple[float, float, str]]) -> _Sides:
    one, other = (np.array([case[at] for case in cases], dtype=np.float64) for at in (0, 1))
    return one, other, [case[2] for case in cases]


def _side(preference: float) -> float:
    return float(np.sign(preference - 0.5))


def _cluster(pair: Pair) -> str:
    return pair.cluster or pair.id


def _found(judged: Mapping[str, JudgedPairs]) -> list[Finding]:
    if HUMAN not in judged:
        return []
    groups = sorted(set(judged[HUMAN].groups))
    by_group = [human_findings(judged[HUMAN].of_group(group), group) for group in groups if len(groups) > 1]
    return human_findings(judged[HUMAN]) + [finding for each in by_group for finding in each]


PROBE = Probe(name=HUMAN, about=ABOUT[HUMAN], wanted=lambda material, sampler: sampler.of(material.human), found=_found)
