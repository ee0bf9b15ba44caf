"""What every method may use: rows, a share of the pool, trained response tokens, FLOPs or device-seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sftbench.errors import BudgetError, UsageError
from sftbench.roles import Allowance
from sftbench.rooms import Json

Unit = Literal["rows", "share", "tokens", "flops", "device-seconds"]
_SUFFIXES: dict[str, Unit] = {
    "": "rows", "row": "rows", "rows": "rows", "%": "share", "tok": "tokens", "token": "tokens", "tokens": "tokens",
    "flop": "flops", "flops": "flops", "s": "device-seconds", "device-seconds": "device-seconds",
}  # fmt: skip
_MULTIPLES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}
_TEXT = re.compile(
    r"^\s*(?P<number>\d*\.?\d+(?:e[+-]?\d+)?)\s*(?P<unit>[a-z%][a-z -]*|)(?P<more>\+selection)?\s*$", re.I
)


def _unit(text: str) -> tuple[float, Unit] | None:
    """`k tokens` is a thousand tokens; `tokens` does not begin with a tera."""
    if text in _SUFFIXES:
        return 1.0, _SUFFIXES[text]
    rest = text[1:].strip()
    return (_MULTIPLES[text[0]], _SUFFIXES[rest]) if text[:1] in _MULTIPLES and rest in _SUFFIXES else None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """`amount` of `unit`; a share is between 0 and 1. With `with_selection`, choosing is paid from it too.

    With `at_most_all`, more than the pool means the whole pool. Read from text: `200`, `10%`, `50k tokens`,
    `2e15 flops`, `600s`, `600s+selection`.
    """

    amount: float
    unit: Unit
    with_selection: bool = False
    at_most_all: bool = False

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Raises `UsageError` for text that is no budget, zero, or a share above 100 %."""
        match = _TEXT.match(text)
        scaled = _unit(match["unit"].strip().lower()) if match else None
        if match is None or scaled is None:
            examples = "200, 10%, 50k tokens, 2e15 flops, 600s, 600s+selection"
            raise UsageError(f"cannot read the budget '{text}'; examples: {examples}")
        multiple, unit = scaled
        amount = float(match["number"]) * multiple / (100 if unit == "share" else 1)
        if amount <= 0 or not math.isfinite(amount):
            raise UsageError(f"the budget '{text}' is nothing; give at least one row")
        if unit == "share" and amount > 1:
            raise UsageError(f"the budget '{text}' is more than the pool; give at most 100%")
        if unit == "rows" and amount != int(amount):
            raise UsageError(f"the budget '{text}' is not a whole number of rows")
        if match["more"] and unit in ("rows", "share", "tokens"):
            raise UsageError(f"'{text}': selection costs no rows or tokens; include it in a budget of flops or seconds")
        return cls(amount=amount, unit=unit, with_selection=bool(match["more"]))

    def __str__(self) -> str:
        text = {
            "rows": f"{self.amount:.0f}",
            "share": f"{self.amount * 100:.12g}%",
            "tokens": f"{self.amount:.15g} tokens",
            "flops": f"{self.amount:.15g} flops",
            "device-seconds": f"{self.amount:.15g}s",
        }[self.unit]
        return text + ("+selection" if self.with_selection else "")

    @property
    def counts_work(self) -> bool:
        """True when what a row costs depends on how it is trained on."""
        return self.unit in ("flops", "device-seconds")

    def asked(self, num_rows_of_run: int) -> float:
        """What is asked for, in rows for a share."""
        return math.floor(self.amount * num_rows_of_run + 1e-9) if self.unit == "share" else self.amount

    def identity(self) -> dict[str, Json]:
        """What enters a step's key."""
        told: dict[str, Json] = {"amount": self.amount, "unit": self.unit, "with_selection": self.with_selection}
        return {**told, "at_most_all": True} if self.at_most_all else told

    @classmethod
    def from_identity(cls, told: Mapping[str, Any]) -> Budget:
        """What `identity` made."""
        return cls(**told)


@dataclass(frozen=True, kw_only=True, eq=False)
class RowPrices:
    """What training on each row costs: response tokens, FLOPs [n] over all epochs, and FLOPs per second.

    The FLOPs are read only for a budget that `counts_work`.
    """

    response_tokens: npt.NDArray[np.int64]
    training_flops: npt.NDArray[np.float64]
    flops_per_second: float

    @classmethod
    def of(
        cls, lengths: Mapping[str, npt.NDArray[Any]], *, training_passes: float, flops_per_second: float
    ) -> RowPrices:
        """From the arrays of the room `lengths`, for a training worth so many forward passes over its rows."""
        return cls(
            response_tokens=lengths["training_tokens"].astype(np.int64),
            training_flops=lengths["forward_flops"] * training_passes,
            flops_per_second=flops_per_second,
        )


def allowance(
    budget: Budget,
    prices: RowPrices,
    *,
    num_rows_of_run: int | None = None,
    spent_flops: float = 0.0,
    spent_seconds: float = 0.0,
) -> Allowance:
    """What a selector may take, given what choosing has cost so far.

    A share is one of the run's pool, `num_rows_of_run`, also where a method chooses from rows that
    another left over or made. Raises `UsageError` when the budget exceeds the pool and `BudgetError`
    when choosing has used it up.
    """
    num_rows = len(prices.response_tokens)
    ones = np.ones(num_rows)
    if budget.unit in ("rows", "share"):
        cap = budget.asked(num_rows if num_rows_of_run is None else num_rows_of_run)
        cap = min(cap, num_rows) if budget.at_most_all else cap
        if cap > num_rows:
            raise UsageError(
                f"the budget of {cap:.0f} rows is more than the pool, which has {num_rows} rows to choose from"
            )
        if cap < 1:
            raise UsageError(f"the budget {budget} of {num_rows} rows is less than one row")
        return Allowance(cap=float(cap), row_costs=ones, unit="rows")
    if budget.unit == "tokens":
        return _capped(budget, budget.amount, prices.response_tokens.astype(np.float64))
    if budget.unit == "flops":
        return _capped(budget, budget.amount - spent_flops * budget.with_selection, prices.training_flops)
    seconds = prices.training_flops / prices.flops_per_second
    return _capped(budget, budget.amount - spent_seconds * budget.with_selection, seconds)


def _capped(budget: Budget, cap: float, costs: npt.NDArray[np.float64]) -> Allowance:
    unit = budget.unit
    cheapest = float(costs[costs > 0].min()) if (costs > 0).any() else 1.0
    if cap < cheapest:
        raise BudgetError(
            f"the budget {budget} leaves {max(cap, 0.0):.3g} {unit} for training; the cheapest row takes {cheapest:.3g}"
        )
    if budget.at_most_all:
        cap = min(cap, float(costs.sum()))
    if not budget.with_selection and cap > float(costs.sum()) * (1 + 1e-9):
        raise UsageError(f"the budget {budget} is more than the whole pool, which takes {costs.sum():.4g} {unit}")
    return Allowance(cap=cap, row_costs=costs, unit=unit, pays_for_selection=budget.with_selection)


def enforce(ids_as_positions: npt.NDArray[np.int64], given: Allowance) -> None:
    """Refuse a selection that is over its allowance."""
    enforce_total(float(given.row_costs[ids_as_positions].sum()), given)


def enforce_total(spent: float, given: Allowance) -> None:
    """Refuse to have spent more than an allowance."""
    if spent > given.cap * (1 + 1e-9):
        raise BudgetError(f"the selection takes {spent:.6g} {given.unit} and was given {given.cap:.6g}")
