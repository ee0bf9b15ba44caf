"""Asking: all pairs of all probes in one go, so that a server is started once, and the verdicts dealt out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sftbench.errors import ContractError
from sftbench.judging.card import equal, family, gold, humans, orders, padding, repeats
from sftbench.judging.card.failures import failure_findings
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.judged import JudgedPairs, Probe
from sftbench.judging.card.material import EarlierTurn, Material, Pair, Sampler
from sftbench.judging.card.readings import readings_of
from sftbench.pools.forms import compact
from sftbench.rooms import Message, Responses, Row, Verdicts

Ask = Callable[[Sequence[Row], Responses, Responses], Verdicts]
"""A judge: rows with a prompt, the model's answers and the baseline's, to verdicts."""
PROBES: tuple[Probe, ...] = (
    orders.PROBE, equal.PROBE, *padding.PROBES, humans.PROBE, *gold.PROBES,
)  # fmt: skip


_Content = tuple[str, str, str, tuple[EarlierTurn, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbesAsked:
    """What a judge said, by probe, and the verdicts of all."""

    judged: Mapping[str, JudgedPairs]
    verdicts: Verdicts


def chosen_pairs(material: Material, sampler: Sampler) -> dict[str, list[Pair]]:
    """The pairs of every probe that has any."""
    found = {probe.name: probe.wanted(material, sampler) for probe in PROBES}
    return {name: pairs for name, pairs in found.items() if pairs}


def different(pairs: Mapping[str, Sequence[Pair]]) -> list[Pair]:
    """The pairs of all probes, each once: so many a judge is asked about."""
    return list({_content(each): each for of_probe in pairs.values() for each in of_probe}.values())


def asked(ask: Ask, pairs: Mapping[str, Sequence[Pair]]) -> ProbesAsked:
    """Ask a judge about the pairs of some probes, all at once. The same pair in two probes is asked about once."""
    places: dict[_Content, int] = {}
    unique: list[Pair] = []
    for each in (pair for of_probe in pairs.values() for pair in of_probe):
        if _content(each) not in places:
            places[_content(each)] = len(unique)
            unique.append(replace(each, id=f"pair-{len(unique)}"))
    verdicts = ask(
        [_row(pair) for pair in unique],
        Responses(
            ids=tuple(pair.id for pair in unique),
            texts=tuple(pair.model for pair in unique),
            earlier={pair.id: tuple(turn.model for turn in pair.earlier) for pair in unique if pair.earlier},
        ),
        Responses(
            ids=tuple(pair.id for pair in unique),
            texts=tuple(pair.baseline for pair in unique),
            earlier={pair.id: tuple(turn.baseline for turn in pair.earlier) for pair in unique if pair.earlier},
        ),
    )
    where = {name: index for index, name in enumerate(verdicts.ids)}
    if set(where) != {pair.id for pair in unique}:
        raise ContractError(f"the judge gave {len(where)} verdicts on {len(unique)} pairs")
    found = readings_of(verdicts)
    judged = {}
    for name, of_probe in pairs.items():
        indices = [where[unique[places[_content(pair)]].id] for pair in of_probe]
        readings = replace(found.taken(indices), ids=tuple(pair.id for pair in of_probe))
        judged[name] = JudgedPairs.of(of_probe, readings)
    return ProbesAsked(judged=judged, verdicts=verdicts)


def findings_of(
    told: ProbesAsked, *, model: str, again: ProbesAsked | None = None, why_not_again: str = ""
) -> list[Finding]:
    """All figures of a card, from what was asked once and, if it was, of what was asked again."""
    judged = told.judged
    repeated = again.judged.get(orders.NAME) if again is not None else None
    return [
        *(finding for probe in PROBES for finding in probe.found(judged)),
        *repeats.repeat_findings(
            judged.get(orders.NAME), repeated.readings if repeated is not None else None, why_not=why_not_again
        ),
        *family.family_findings(judged, model),
        *failure_findings([readings_of(told.verdicts)]),
    ]


def _content(pair: Pair) -> _Content:
    return pair.prompt, pair.model, pair.baseline, pair.earlier


def _row(pair: Pair) -> Row:
    """A dialogue of several turns is open in all of them: each side has its own answers to the earlier ones."""
    asked = (*(turn.asked for turn in pair.earlier), pair.prompt)
    messages = tuple(
        message
        for text in asked
        for message in (Message(role="user", content=text), Message(role="assistant", content=""))
    )
    return Row(id=pair.id, messages=messages, raw=compact({"_open_turns": len(asked)}) if pair.earlier else "{}")
