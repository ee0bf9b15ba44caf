"""What a run wrote for each cell, as plain data: the form of `results/NAME/METHOD/BUDGET/seed-N.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

SCHEMA = 1


class StrictData:
    """Tells pydantic to refuse unknown keys and NaN; these classes are otherwise plain dataclasses."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True, kw_only=True)
class Base(StrictData):
    """The base model that was trained."""

    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class PoolFacts(StrictData):
    """The pool that was chosen from; the planted counts are 0 or None when nothing was planted."""

    name: str
    key: str
    num_rows: int
    num_planted: int | None = None
    num_planted_tokens: int | None = None
    num_response_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class CellFailure(StrictData):
    """The step that did not end, and why."""

    step: str
    error: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Chosen(StrictData):
    """A selection in numbers. `trained_share` of its `num_response_tokens` are trained, the rest is masked.

    `positions` says where its rows stand in the pool (see `sftbench.positions`): None when some were made by
    a generator, and in older records.
    """

    num_rows: int
    num_response_tokens: int
    num_planted_rows: int | None
    num_planted_tokens: int | None
    status: str
    key: str
    ids_hash: str
    trained_share: float
    positions: str | None = None


@dataclass(frozen=True, kw_only=True)
class ItemMetrics(StrictData):
    """One evaluator's metrics, a value per held-out item; None marks an item that failed.

    `ids_of` has the items of each metric that is on items of its own. `numbers` are metrics of which the evaluator gave
    a number and no items (None where it failed).
    """

    ids: tuple[str, ...]
    items: dict[str, tuple[float | None, ...]]
    bigger_is_better: dict[str, bool]
    report: dict[str, Any] = field(default_factory=dict)
    ids_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, float | None] = field(default_factory=dict)

    def items_of(self, metric: str) -> tuple[str, ...]:
        """The ids that the values of a metric are of."""
        return self.ids_of.get(metric, self.ids)


@dataclass(frozen=True, kw_only=True)
class CellVerdicts(StrictData):
    """A judge's preference per held-out item, 0 to 1 for the model over the method `baseline`; None marks a failure.

    `columns` are the further findings of a judge, a value per item. `judged_by` is what identifies the judge: its part
    and parameters, the model that it asks, and the content of its template (not told by older records).
    """

    baseline: str
    judge: str
    ids: tuple[str, ...]
    preference: tuple[float | None, ...]
    columns: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    judged_by: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromptsAnswered(StrictData):
    """The suite of prompts that was answered: `num_prompts` of the `num_in_all` that the benchmark has.

    `control` is what win rates on it are controlled for.
    """

    suite: str
    version: str
    control: Literal["length", "style"]
    num_prompts: int
    num_in_all: int


@dataclass(frozen=True, kw_only=True)
class Diversity(StrictData):
    """One diversity metric of the chosen rows; None where `note` says why there is none.

    `direction` is `up` where larger is more diverse, `down` where smaller is, `shift` for a distance from
    the held-out rows. `tokens` and `n` (rows) are what it was computed on.
    """

    metric: str
    value: float | None
    ci_lo: float | None
    ci_hi: float | None
    unit: str
    tokens: int
    n: int
    direction: Literal["up", "down", "shift"]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Spent(StrictData):
    """What one phase of a cell used: FLOPs and tokens are counted, seconds and bytes are measured."""

    tokens_forward: float = 0.0
    tokens_backward: float = 0.0
    tokens_generated: float = 0.0
    flops: float = 0.0
    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    peak_memory_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CellHits(StrictData):
    """Held-out items of which a selection has something: `ids` of the items, and how many rows of it have it.

    Found by runs of `num_words` words in common, and, where `cosine` is given, by embeddings at least so close, in the
    step `key`.
    """

    key: str
    num_words: int
    cosine: float | None
    num_rows: int
    ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StepRecord(StrictData):
    """A step that the cell went through."""

    room: str
    part: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Cell(StrictData):
    """One method at one budget and seed, as its file tells it."""

    schema: Literal[1]
    method: str
    label: str
    kind: Literal["method", "control"]
    matched_to: str | None
    budget: str
    seed: int
    base: Base
    pool: PoolFacts
    fidelity: str
    status: Literal["done", "failed"]
    failure: CellFailure | None
    selection: Chosen | None
    evaluations: dict[str, ItemMetrics]
    verdicts: CellVerdicts | None
    cost: dict[str, Spent]
    steps: tuple[StepRecord, ...] = ()

    @property
    def judgements(self) -> tuple[CellVerdicts, ...]:
        """The verdicts of all judges that have any, the first judge's first."""
        return ((self.verdicts,) if self.verdicts else ()) + self.further_verdicts

    stand_ins: tuple[str, ...] = ()
    """What was done without the language model that a part would have asked."""
    asked: tuple[str, ...] = ()
    """Language models behind endpoints that were asked; the cost has their tokens and not their FLOPs."""
    answered_by: dict[str, Any] | None = None
    """What served the model for its answers, and whether whole; None where a process of the run wrote them."""
    generated: dict[str, Any] | None = None
    """What the method's generator told, if it has one."""
    diversity: dict[str, tuple[Diversity, ...]] = field(default_factory=dict)
    further_verdicts: tuple[CellVerdicts, ...] = ()
    """Of all judges but the first, whose are in `verdicts`."""
    prompts: PromptsAnswered | None = None
    """None where held-out rows are of no suite of prompts."""
    undescribed: dict[str, CellFailure] = field(default_factory=dict)
    """By component: why its diversity could not be measured. The cell is finished without it."""
    hits: CellHits | None = None
    """None where the selection has nothing of any held-out item, or it was not looked for."""
