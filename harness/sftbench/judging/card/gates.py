"""What is asked of a judge before its win rates are to be trusted, and whether a card shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from sftbench.judging.card import failures, gold, orders, padding
from sftbench.judging.card.finding import Finding

MIN_AGREEMENT = 78.0
"""Percent of the winners named that are gold's: qualifies a judge on MT-Bench's human votes (judging protocol)."""
MAX_FAILURES = 1.0
"""Percent of pairs without a readable verdict (judging protocol)."""
MAX_FLIPS = 30.0
"""Percent of ordinary pairs whose verdict depends on the order (own decision)."""
MAX_POSITION = 10.0
MAX_LENGTH = 10.0
"""Points by which the first place, or filler that says nothing, may move a win rate (own decisions)."""
RUN = "run"
"""The probe of findings from a run's own verdicts."""
State = Literal["met", "missed", "untold"]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A demand, what was found, and whether it is met by the value; `is_clear` when the whole interval agrees."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    name: str
    demand: str
    limit: float
    state: State
    is_clear: bool
    finding: Finding | None


def gates(findings: Sequence[Finding]) -> tuple[Gate, ...]:
    """Every demand, held against the findings."""
    shift = next((each for each in (padding.SHIFT_EQUAL, padding.SHIFT_WORSE) if told(findings, each)), "")
    return (
        _gate("agreement", f"at least {MIN_AGREEMENT:g} %", MIN_AGREEMENT, agreement_of(findings), at_least=True),
        _gate("parse failures", f"below {MAX_FAILURES:g} %", MAX_FAILURES, told(findings, failures.FAILED)),
        _gate("order flips", f"at most {MAX_FLIPS:g} %", MAX_FLIPS, told(findings, orders.FLIPS)),
        _gate("position bias", f"at most {MAX_POSITION:g} points", MAX_POSITION, told(findings, orders.POSITION)),
        _gate("length bias", f"at most {MAX_LENGTH:g} points", MAX_LENGTH, told(findings, shift)),
    )


def told(findings: Sequence[Finding], measure: str) -> Finding | None:
    """The finding of this measure on the pairs of a run, on which its win rates rest, else over most pairs; of a whole
    probe, and not of one group in it."""
    known = [each for each in findings if each.measure == measure and each.value is not None and not each.group]
    return max(known, key=lambda each: (each.probe == RUN, each.num), default=None)


def agreement_of(findings: Sequence[Finding]) -> Finding | None:
    """S2 on the most telling set of ordinary pairs."""
    return of_plain(findings, gold.S2)


def of_judged_answers(findings: Sequence[Finding], measure: str) -> Finding | None:
    """The same without the tasks made here."""
    return of_plain([each for each in findings if each.probe != gold.OWN], measure)


def of_plain(findings: Sequence[Finding], measure: str) -> Finding | None:
    """A measure on human labels, else on LLMBar's natural pairs, else on tasks made here."""
    found = (each for name in gold.PLAIN for each in findings if each.probe == name and each.measure == measure)
    return next((each for each in found if each.value is not None and not each.group), None)


def passes(held: Sequence[Gate]) -> bool | None:
    """True when every demand is met, by agreement beyond chance; False when one is missed; None when none is missed
    but agreement, failures or flips were not measured. Tasks made here can show that a judge is none, and never that it
    is one: sums are not what it will judge."""
    by_name = {gate.name: gate for gate in held}
    agreed = by_name["agreement"].finding
    if any(gate.state == "missed" for gate in held) or (agreed is not None and (agreed.low or 0) <= 50):
        return False
    if agreed is not None and agreed.probe == gold.OWN:
        return None
    needed = ("agreement", "parse failures", "order flips")
    return None if any(by_name[name].state == "untold" for name in needed) else True


def _gate(name: str, demand: str, limit: float, found: Finding | None, *, at_least: bool = False) -> Gate:
    if found is None or found.value is None or found.low is None or found.high is None:
        return Gate(name=name, demand=demand, limit=limit, state="untold", is_clear=False, finding=None)
    met = [_meets(name, each, limit, at_least) for each in (found.value, found.low, found.high)]
    return Gate(
        name=name, demand=demand, limit=limit, state="met" if met[0] else "missed",
        is_clear=met[0] == met[1] == met[2], finding=found,
    )  # fmt: skip


def _meets(name: str, value: float, limit: float, at_least: bool) -> bool:
    if at_least:
        return value >= limit
    return abs(value) < limit if name == "parse failures" else abs(value) <= limit
