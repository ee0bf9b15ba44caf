"""The card as data: who was asked, every figure, what it means; to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from sftbench.errors import UsageError
from sftbench.judging.card import gates as demands
from sftbench.judging.card import gold, orders
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.gates import Gate
from sftbench.judging.card.words import words

SCHEMA: Literal[1] = 1
FILE = "judge-card.json"
FURTHER = "judge-cards.json"
"""In the results of a run: the cards of all judges but the first, by the judges' names."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A figure in percent with its 95 % bounds, over `num` pairs of the probe `on`."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    value: float
    low: float
    high: float
    num: int
    on: str


@dataclass(frozen=True, kw_only=True)
class JudgeCard:
    """What is known of a judge.

    `judge` identifies it: part and version, parameters, and what else its key holds. `passes` says whether it meets
    what is asked of a judge (None: not enough was asked). `agreement` is S2 on the most telling ordinary pairs,
    `gold_preference` the mean preference for their better answer, from which win rates are corrected, `flip_rate` the
    share of pairs whose verdict depends on the order. `speed` is measured; nothing else depends on the machine.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    schema: Literal[1] = SCHEMA
    judge: Mapping[str, Any]
    sample: str
    seed: int
    passes: bool | None
    words: tuple[str, ...]
    flip_rate: Headline | None
    agreement: Headline | None
    gold_preference: Headline | None
    gates: tuple[Gate, ...]
    findings: tuple[Finding, ...]
    missing: tuple[str, ...] = ()
    speed: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of `judge-card.json`; numbers to six significant digits."""
        return json.dumps(_rounded(dataclasses.asdict(self)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> JudgeCard:
        """Read a card back. Raises `UsageError` naming `where` for anything else."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise UsageError(f"{where}: not a judge's card of this version ({place}: {first['msg']})") from None

    @classmethod
    def read(cls, path: Path) -> JudgeCard:
        """The card in a file."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"), where=str(path))
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"cannot read {path}: {problem}") from None


def card_of(
    findings: Sequence[Finding],
    *,
    judge: Mapping[str, Any],
    sample: str,
    seed: int,
    missing: Sequence[str] = (),
    speed: Mapping[str, float] | None = None,
) -> JudgeCard:
    """The card that some findings make."""
    held = demands.gates(findings)
    return JudgeCard(
        judge=judge,
        sample=sample,
        seed=seed,
        passes=demands.passes(held),
        words=words(findings, held),
        flip_rate=_headline(demands.told(findings, orders.FLIPS)),
        agreement=_headline(demands.agreement_of(findings)),
        gold_preference=_headline(demands.of_judged_answers(findings, gold.FOR_GOLD)),
        gates=held,
        findings=tuple(findings),
        missing=tuple(missing),
        speed=dict(speed or {}),
    )


def _headline(found: Finding | None) -> Headline | None:
    if found is None or found.value is None or found.low is None or found.high is None:
        return None
    return Headline(value=found.value, low=found.low, high=found.high, num=found.num, on=found.probe)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") + 0.0
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value
