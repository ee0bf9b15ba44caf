"""The judges' cards beside the results of a run, as far as a board tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sftbench.board.correction import GoldPreference
from sftbench.errors import UsageError
from sftbench.judging.card.card import FILE, FURTHER

"""The cards of all judges but the first, by the judges' names."""
SCHEMA = 1
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the card says in words, whether the judge passes, and how often it prefers the better answer (None: not
    known), on pairs `on`. `rewards_length` when filler moves its win rates by more than is asked of a judge.
    `flip_rate` and `agreed` (with gold labels) are in percent."""

    words: tuple[str, ...]
    passes: bool | None
    agreement: GoldPreference | None
    on: str = ""
    flip_rate: float | None = None
    agreed: float | None = None
    rewards_length: bool = False


def read_card_facts(results: Path) -> CardFacts | None:
    """The card below a results folder; None without one, and where several runs have different ones.

    Raises `UsageError` for a file that is no card of this version.
    """
    found = _only(results, FILE)
    return None if found is None else _checked(found[1], lambda: _told(_of_schema(found[0])))


def read_further_facts(results: Path) -> dict[str, CardFacts]:
    """The cards of the judges but the first, by name, under the same terms."""
    found = _only(results, FURTHER)
    if found is None:
        return {}
    text, path = found
    return _checked(path, lambda: {str(name): _told(card) for name, card in _of_schema(text)["cards"].items()})


def _only(results: Path, name: str) -> tuple[str, Path] | None:
    texts = {path.read_text(encoding="utf-8"): path for path in sorted(results.rglob(name))}
    return next(iter(texts.items())) if len(texts) == 1 else None


def _checked(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"not a judge's card ({type(problem).__name__}: {problem})", where=str(path)) from None


def _of_schema(text: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(text)
    if told["schema"] != SCHEMA:
        raise ValueError(f"schema {told['schema']!r}; this version reads {SCHEMA}")
    return told


def _told(told: dict[str, Any]) -> CardFacts:
    preferred = told["gold_preference"]
    agreement = None if preferred is None else _agreement(preferred)
    return CardFacts(
        words=tuple(map(str, told["words"])),
        passes=told["passes"],
        agreement=agreement,
        on=str(preferred["on"]) if preferred is not None else "",
        flip_rate=_value(told["flip_rate"]),
        agreed=_value(told["agreement"]),
        rewards_length=any(gate["name"] == "length bias" and gate["state"] == "missed" for gate in told["gates"]),
    )


def _value(told: dict[str, Any] | None) -> float | None:
    return None if told is None else float(told["value"])


def _agreement(told: dict[str, Any]) -> GoldPreference:
    value, low, high = (float(told[name]) for name in ("value", "low", "high"))
    return GoldPreference(value=value, low=low, high=high, num=int(told["num"]))
