"""The board as data: typed rows, to JSON and back, and the comparison form without measured numbers."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from sftbench.board.cells import Base, PoolFacts, PromptsAnswered, StrictData
from sftbench.board.judgement import JudgeCardSummary, JudgedRow, OrderAgreement
from sftbench.board.statistics import Estimate
from sftbench.errors import UsageError

SCHEMA: Literal[1] = 1
WIN_RATE = "win-rate"
JUDGED = ("prompts", "judge_card", "further_cards", "agreements", "judged")
"""What belongs to the judged part of a board."""
OPTIONAL = (
    "overlap", "asked", "undescribed", "against_matched", "win_rate_corrected", "without_hits", "against_baseline",
    "break_even", "places",
)  # fmt: skip
"""Keys of a row that are left out where there is nothing to tell."""
MEASURED_ENDINGS = ("_seconds", "_bytes")
"""Names with these endings hold what a clock or the machine said; all else follows from the inputs alone."""


@dataclass(frozen=True, kw_only=True)
class Cost(StrictData):
    """What one phase used, as the mean over the finished seeds (`peak_memory_bytes`: the largest)."""

    tokens_forward: float
    tokens_backward: float
    tokens_generated: float
    flops: float
    wall_seconds: float
    device_seconds: float
    peak_memory_bytes: float


@dataclass(frozen=True, kw_only=True)
class Training(StrictData):
    """What a row trained on, as means over the finished seeds; shares between 0 and 1, None where nothing is planted.

    `trained_tokens` are the response tokens that are not masked. `planted_*_share` is how much of the
    selection is planted, `planted_*_let_in` how much of everything planted in the pool got in.
    """

    num_rows: float
    num_response_tokens: float
    trained_tokens: float
    planted_row_share: float | None
    planted_rows_let_in: float | None
    planted_token_share: float | None
    planted_tokens_let_in: float | None
    short_of_budget: bool


@dataclass(frozen=True, kw_only=True)
class Overlap(StrictData):
    """What the selections of two seeds have in common: rows in both over rows in either, mean over all pairs of seeds.

    `by_chance` is the mean for independent random choices of the same sizes.
    """

    mean: float
    by_chance: float
    num_pairs: int


@dataclass(frozen=True, kw_only=True)
class FailedSeed(StrictData):
    """A cell that did not end, and why."""

    seed: int
    step: str
    error: str
    message: str


@dataclass(frozen=True, kw_only=True)
class MatchedComparison(StrictData):
    """A row against a control, one that is matched to it or the one that all are held to: the paired difference on the
    sort metric, row minus control.

    `outcome` is `equal` where the two cannot be told apart, the family being the board's comparisons of that kind.
    `seeds_to_tell` is then how many seeds in all would do it, if the difference stays and seeds alone can do it.
    """

    control: str
    difference: Estimate
    outcome: Literal["better", "worse", "equal"]
    seeds_to_tell: int | None = None


@dataclass(frozen=True, kw_only=True)
class DetectableDifference(StrictData):
    """The smallest true difference to `control` that a comparison which was planned would tell with a power of 80 %.

    That is for one entry that differs while no other does, with `num_seeds` (the median) and `num_items`, in the
    board's family of `num_comparisons`. Entries scatter differently: `difference` is the median over them, `smallest`
    and `largest` are the ends. `room_below` and `room_above` are how much lower and higher than the control a value
    can be at all (None without a bound); a difference for which there is no room on either side is None.
    `with_training_noise` is False where one seed tells nothing of it: then the true one is larger.
    """

    budget: str
    metric: str
    control: str
    difference: float | None
    num_seeds: int
    num_items: int
    num_comparisons: int
    with_training_noise: bool
    smallest: float | None = None
    largest: float | None = None
    room_below: float | None = None
    room_above: float | None = None


@dataclass(frozen=True, kw_only=True)
class WithoutHits(StrictData):
    """The metrics without held-out items of which something was trained on, where any row of the budget has such.

    `num_own` items are hit by the selections of this row (of any of its seeds), `num_any` by those of any row.
    `own` are the metrics without the former (empty where there are none): each row on items of its own. `common` are
    those without the latter: all rows on the same items, which is how they compare fairly.
    """

    num_own: int
    num_any: int
    own: dict[str, Estimate]
    common: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class BreakEven(StrictData):
    """What choosing a row's data cost, in training on random rows, and from which size of training on it pays.

    `choosing_rows` is what was spent before training over the price of a random row, `total_rows` all of it,
    `random_rows` how many random rows reach the same score (see `sftbench.board.break_even`): None where the board has
    too few sizes of `random` to tell, or where none was as bad. `beyond` marks a score above the line through all
    random rows, for which `random_rows` is where that ends. Choosing pays where training is at least `factor` times
    what it is here; None for never. `low` and `high` hold it with 95 % confidence, never being the largest value.

    `random_rows_low` and `random_rows_high` hold `random_rows` likewise: 0 where the fewest are as good, None for more
    than there are. `random_line` is the line at the total compute (its nearest end outside), in units of the sort
    metric. `random_as_good` is how many entries of random rows have a mean that is as good; the line may lie below
    some. These are None on boards from before they were told.
    """

    choosing_rows: float
    total_rows: float
    random_rows: float | None
    beyond: bool
    is_known: bool
    factor: float | None
    low: float | None
    high: float | None
    random_rows_low: float | None = None
    random_rows_high: float | None = None
    random_line: float | None = None
    random_as_good: int | None = None


@dataclass(frozen=True, kw_only=True)
class BoardRow(StrictData):
    """One method at one budget. What could not be computed is None; failed seeds are in no mean.

    `rank` counts the rows of the budget with a better mean, plus 1; controls that are matched to a method have neither
    rank nor tier, and that method compares itself with them in `against_matched`. All other rows are compared with the
    one called `random` (without one, with what win rates are against) in `against_baseline`, which is a family of its
    own, far smaller than that of all pairs. `tier`, `tied_with_best`, `places` (the interval of the rank) and
    `seeds_to_tell`: see `sftbench.board.tiers.stand`. `behind_best` is the paired difference to the first
    row on the sort metric (this row minus the first). `is_baseline` marks what win rates are against.
    `stand_ins` is what was done without the model that a part would have asked, `asked` the language models
    behind endpoints that were asked, whose FLOPs are in no sum.
    `overlap` is there where the seed plays a part in choosing and several seeds are finished. `undescribed` tells
    why the diversity of what finished seeds chose could not be measured. `win_rate_corrected` is the win rate by a
    judge that is always right (`sftbench.board.correction`), where the judge's card allows that.
    """

    budget: str
    method: str
    label: str
    kind: Literal["method", "control"]
    matched_to: str | None
    fidelity: str
    status: Literal["done", "partial", "failed"]
    seeds_done: tuple[int, ...]
    seeds_failed: tuple[int, ...]
    seeds_missing: tuple[int, ...]
    failures: tuple[FailedSeed, ...]
    rank: int | None
    tier: int | None
    tied_with_best: bool
    seeds_to_tell: int | None
    behind_best: Estimate | None
    metrics: dict[str, Estimate]
    win_rate: Estimate | None
    is_baseline: bool
    training: Training | None
    cost: dict[str, Cost]
    stand_ins: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    overlap: Overlap | None = None
    undescribed: tuple[FailedSeed, ...] = ()
    against_matched: tuple[MatchedComparison, ...] = ()
    win_rate_corrected: Estimate | None = None
    without_hits: WithoutHits | None = None
    against_baseline: MatchedComparison | None = None
    break_even: BreakEven | None = None
    places: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Board(StrictData):
    """Everything that a leaderboard shows. Rows are grouped by budget and ordered, best first, unranked last.

    `num_items` is the number of held-out items per metric (and for `win-rate`); 0 where evaluators gave a number alone.
    `detectable` tells by budget and metric which differences could have been told.
    """

    schema: Literal[1]
    pool: PoolFacts
    base: Base
    budgets: tuple[str, ...]
    seeds: tuple[int, ...]
    sort_metric: str
    bigger_is_better: dict[str, bool]
    num_items: dict[str, int]
    baseline: str | None
    judge: str | None
    num_resamples: int
    notes: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    prompts: PromptsAnswered | None = None
    judge_card: JudgeCardSummary | None = None
    further_cards: dict[str, JudgeCardSummary] = field(default_factory=dict)
    """Of the judges but the first, by name."""
    agreements: tuple[OrderAgreement, ...] = ()
    judged: tuple[JudgedRow, ...] = ()
    """What judges said, where there is more to tell than one win rate per row."""
    detectable: tuple[DetectableDifference, ...] = ()
    study: str = ""
    """What the study asked that the run was made for."""

    def of(self, budget: str) -> list[BoardRow]:
        """The rows of one budget, in order."""
        return [row for row in self.rows if row.budget == budget]

    def to_json(self) -> str:
        """The text of `board.json`; numbers to six significant digits, so that it is the same everywhere.

        A board without a judged part, on which nothing is held to random rows, or of no study, does not name it, and
        rows without an overlap, that asked nobody, whose diversity was measured, to which nothing is matched, that have
        no corrected win rate, in whose budget no item was hit, that are compared with no baseline, that are not ranked,
        or whose cost is not known, do not name these, as in boards from before there was any.
        """
        told = dataclasses.asdict(self)
        told = {name: value for name, value in told.items() if name not in (*JUDGED, "detectable", "study") or value}
        told["rows"] = [
            {name: value for name, value in row.items() if name not in OPTIONAL or value} for row in told["rows"]
        ]
        return json.dumps(_rounded(told), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Board:
        """Read `board.json` back. Raises `UsageError` naming `where` for anything else."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_json(text, strict=True)
        except ValidationError as problem:
            first = problem.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise UsageError(f"{where}: not a board of this version ({place}: {first['msg']})") from None


def strip_measured(board_json: Any) -> Any:
    """A parsed `board.json` without seconds and bytes: two runs of the same thing agree in all that is left."""
    if isinstance(board_json, dict):
        kept = {name: value for name, value in board_json.items() if not name.endswith(MEASURED_ENDINGS)}
        return {name: strip_measured(value) for name, value in kept.items()}
    if isinstance(board_json, list):
        return [strip_measured(value) for value in board_json]
    return board_json


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return six_digits(value)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


def six_digits(value: float) -> float | None:
    """Rounded to six significant digits; None for what JSON cannot hold."""
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None
