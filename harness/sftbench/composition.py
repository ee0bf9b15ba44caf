"""How a method is written: by name, put together from parts, or as a chain: one narrows the pool of the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sftbench.budget import Budget
from sftbench.errors import UsageError, unknown_name
from sftbench.parameters import PartUse, parse_use, plain_letters

PART_ROLES = ("generator", "scorer", "selector", "trainer")
_TAKE = "take"
_MULTIPLE = re.compile(r"^(\d+(?:\.\d+)?)x$")


@dataclass(frozen=True, kw_only=True)
class Take:
    """How many rows a method passes on to the next in a chain: `times` the budget, or a budget of its own."""

    times: float = 4.0
    budget: Budget | None = None

    @classmethod
    def parse(cls, text: str) -> Take:
        """`4x`, or a budget such as `20%` or `500`. Raises `UsageError` for a multiple below 1."""
        match = _MULTIPLE.match(text.strip())
        if match is None:
            return cls(budget=Budget.parse(text))
        if float(match[1]) < 1:
            raise UsageError(f"take={text}: the next method needs at least once its budget to choose from")
        return cls(times=float(match[1]))

    def __str__(self) -> str:
        return f"{self.times:g}x" if self.budget is None else str(self.budget)

    def of(self, budget: Budget) -> Budget:
        """The budget under which rows are passed on; the whole pool where that is more than the pool."""
        wanted = self.budget or replace(budget, amount=budget.amount * self.times)
        return replace(wanted, at_most_all=True)


@dataclass(frozen=True, kw_only=True)
class MethodUse:
    """A method as the user wrote it.

    `name` is a known method; `parts` replace its parts, or stand alone. `before` chooses the rows that
    this one may choose from; `take` is how many rows this one passes on, where another comes after it.
    """

    name: PartUse | None = None
    parts: Mapping[str, PartUse] = field(default_factory=dict)
    before: MethodUse | None = None
    take: Take = field(default_factory=Take)

    def __str__(self) -> str:
        """The same however it was spaced and ordered."""
        words = [str(self.name)] if self.name else []
        words += [f"{role}={self.parts[role]}" for role in PART_ROLES if role in self.parts]
        own = " ".join(words)
        if self.before is None:
            return own
        passed_on = "" if self.before.take == Take() else f" {_TAKE}={self.before.take}"
        return f"{self.before}{passed_on} | {own}"


def parse_method(text: str) -> MethodUse:
    """Read a method: `tshirt[alpha=3]`, `generator=topics selector=tshirt trainer=gated`, `tshirt trainer=gated`,
    or a chain, `deita[take=20%] | kcenter`.

    Raises `UsageError` for anything else; whether the names exist is not looked at.
    """
    stages = [_stage(part, text) for part in _split(text, "|")]
    if stages[-1][1] is not None:
        raise UsageError(f"'{_TAKE}' in '{text}' says how many rows go on to the next method, and none comes after")
    use: MethodUse | None = None
    for stage, take in stages:
        use = replace(stage, before=use, take=take or Take())
    assert use is not None
    return use


def _stage(text: str, whole: str) -> tuple[MethodUse, Take | None]:
    """One method of a chain, and how many rows it passes on if that is said."""
    name: PartUse | None = None
    parts: dict[str, PartUse] = {}
    take: str | None = None
    for word in _split(text, " "):
        role, sign, rest = word.partition("=")
        if not sign or "[" in role:
            if name is not None or parts:
                raise UsageError(f"cannot read '{word}' in '{whole}': expected ROLE=PART after the first word")
            name = parse_use(word)
        elif role == _TAKE:
            take = rest
        elif role not in PART_ROLES:
            raise unknown_name(f"role in '{whole}'", role, (*PART_ROLES, _TAKE))
        elif role in parts:
            raise UsageError(f"'{role}' is given twice in '{whole}'")
        else:
            parts[role] = parse_use(rest)
    if name is None and not parts:
        raise UsageError(f"cannot read '{whole}': expected NAME, ROLE=PART ..., or methods joined by '|'")
    if name is not None and _TAKE in name.parameters:
        take = str(name.parameters[_TAKE])
        name = PartUse(name=name.name, parameters={key: each for key, each in name.parameters.items() if key != _TAKE})
    return MethodUse(name=name, parts=parts), None if take is None else Take.parse(take)


def _split(text: str, sign: str) -> list[str]:
    """Split at a sign outside brackets and quotes; spaces before a bracket or around '=' belong to the word."""
    joined = re.sub(r"\s*(=)\s*|\s+(?=\[)", r"\1", text)
    pieces, depth, start = [], 0, 0
    for position, letter, depth in plain_letters(joined + sign):
        if letter == sign and depth == 0:
            pieces.append(joined[start:position].strip())
            start = position + 1
    if depth or start != len(joined) + 1:
        raise UsageError(f"cannot read '{text}': a '[' or a '\"' is not closed")
    return [piece for piece in pieces if piece] if sign == " " else pieces
