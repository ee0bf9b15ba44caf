"""What judges said, as data: a line per judge, budget and method, and how well judges agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sftbench.board.cells import StrictData
from sftbench.board.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class JudgedRow(StrictData):
    """One method at one budget before one judge. Rates are in percent, 50 is the baseline; shares lie in 0 to 1.

    `controlled` is the length-controlled win rate of AlpacaEval (`form` says of which form), `styled` the
    style-controlled score of Arena-Hard. Shares are over the `num_verdicts` items of all seeds; None where the judge's
    records do not tell. `consistency` is the share with one winner in both orders, `position_bias` how much more than
    half the answer shown first wins, `length_ratio` the model's mean length over the baseline's, `unparsable` the share
    in which a verdict could not be read, `failed` that without a verdict. `reversals` is the share of items on which
    this judge names the other winner than the first judge. `status` is `partial` where prompts of the benchmark have no
    verdict.
    """

    judge: str
    budget: str
    label: str
    kind: Literal["method", "control"]
    matched_to: str | None
    status: Literal["complete", "partial"]
    num_verdicts: int
    win_rate: Estimate | None
    controlled: Estimate | None
    form: str | None
    styled: Estimate | None
    ties: float | None
    consistency: float | None
    position_bias: float | None
    length_ratio: float | None
    unparsable: float | None
    failed: float
    reversals: float | None


@dataclass(frozen=True, kw_only=True)
class OrderAgreement(StrictData):
    """How two judges order the same rows of a budget by win rate: Kendall's tau-b and Spearman's rho.

    None where one of them makes no difference between rows.
    """

    first: str
    second: str
    budget: str
    num_rows: int
    kendall: float | None
    spearman: float | None


@dataclass(frozen=True, kw_only=True)
class JudgeCardSummary(StrictData):
    """What is known of how reliable the judge is, in short; rates in percent. `passes` is None where too little is."""

    passes: bool | None
    words: tuple[str, ...]
    flip_rate: float | None = None
    agreement: float | None = None
