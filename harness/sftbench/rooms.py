"""The rooms: what stands between two steps. Frozen data with a meaning and no cost, key or provenance.

Shapes use `n` for the rows of a pool, `m` for the response tokens of a row, `B` for the rows selected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import datasets
    import pyarrow

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Component = Literal["instruction", "response", "both"]

MASKED, CROSS_ENTROPY, DISTILLATION = 0, 1, 2
"""What a response token is for (`Selection.token_labels`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation. `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One instruction-response row; the last message is the assistant's.

    `raw` is the row as its file had it (JSON text). `planted` names the defect that was planted in
    it, if any, and `planted_spans` the characters of the last response that are defective.
    """

    id: str
    messages: tuple[Message, ...]
    raw: str = "{}"
    planted: str | None = None
    planted_spans: tuple[tuple[int, int], ...] = ()

    @property
    def response(self) -> str:
        """The last assistant turn."""
        return self.messages[-1].content if self.messages else ""

    @property
    def prompt(self) -> str:
        """Everything before the last assistant turn, turns joined by a newline."""
        return "\n".join(message.content for message in self.messages[:-1])

    def text(self, component: Component) -> str:
        """All turns of one side, joined by a newline."""
        wanted = _SIDES[component]
        return "\n".join(message.content for message in self.messages if message.role in wanted)

    @property
    def num_open_turns(self) -> int:
        """How many of its responses a model is to write when the row is held out: the last, or more in a dialogue."""
        return int(self.original().get("_open_turns", 1))

    def original(self) -> dict[str, Any]:
        """The row as its file had it."""
        loaded = json.loads(self.raw)
        return loaded if isinstance(loaded, dict) else {}


_SIDES = {"instruction": ("user", "system"), "response": ("assistant",), "both": ("user", "system", "assistant")}


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The rows that a method may choose from, memory-mapped.

    `dataset` has the columns `id`, `messages`, `raw`, `planted`, `planted_spans`. `key` identifies the
    content and the order. `form` is how the rows came in: `alpaca`, `messages`, `sharegpt`, or `mixed`.
    """

    dataset: datasets.Dataset
    key: str
    form: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Row]:
        for batch in self.batches():
            yield from batch

    def __getitem__(self, index: int) -> Row:
        return self.take([index])[0]

    @cached_property
    def ids(self) -> list[str]:
        """The id of every row, in pool order."""
        ids: list[str] = self.dataset.with_format("arrow", columns=["id"])[:].column("id").to_pylist()
        return ids

    @cached_property
    def index_of(self) -> dict[str, int]:
        """From id to position."""
        return {row_id: index for index, row_id in enumerate(self.ids)}

    def batches(self, size: int = 1024) -> Iterator[list[Row]]:
        """The rows in order, a list at a time, so that a large pool is never in memory whole."""
        for table in self._tables.iter(batch_size=size):
            yield _rows(table)

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> list[Row]:
        """The rows at these positions, in this order."""
        wanted = [int(index) for index in indices]
        pieces = (wanted[start : start + 1024] for start in range(0, len(wanted), 1024))
        return [row for piece in pieces for row in _rows(self._tables[piece])]

    @cached_property
    def _tables(self) -> datasets.Dataset:
        return self.dataset.with_format("arrow")


def _messages(table: pyarrow.Table) -> Iterator[tuple[Message, ...]]:
    """Turns are read column by column, which is much faster than a dictionary per turn."""
    lists = table.combine_chunks().column("messages").chunk(0)
    turns = lists.flatten()
    made = list(map(_message, turns.field("role").to_pylist(), turns.field("content").to_pylist()))
    ends = np.cumsum(lists.value_lengths().to_numpy()).tolist()
    return (tuple(made[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True))


def _message(role: str, content: str) -> Message:
    return Message(role=role, content=content)


def _rows(table: pyarrow.Table) -> list[Row]:
    ids, raws, planted, spans = (table.column(name).to_pylist() for name in ("id", "raw", "planted", "planted_spans"))
    return [
        Row(
            id=row_id,
            messages=messages,
            raw=raw,
            planted=defect,
            planted_spans=tuple((int(start), int(end)) for start, end in where or ()),
        )
        for row_id, messages, raw, defect, where in zip(ids, _messages(table), raws, planted, spans, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ragged:
    """Lists of different lengths as one array: list i is `values[offsets[i]:offsets[i + 1]]`."""

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    @classmethod
    def of(cls, lists: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike = np.float32) -> Ragged:
        """From arrays of different lengths (first axis), in order."""
        lengths = np.fromiter((len(values) for values in lists), dtype=np.int64, count=len(lists))
        flat = np.concatenate(lists).astype(dtype, copy=False) if lists else np.empty(0, dtype=dtype)
        return cls(values=flat, offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Generated:
    """Rows that a generator makes, and what it has to tell of the making.

    `rows` are read once, to the end, and `report` after that: it may be filled while they are made. With `num_wanted`,
    fewer rows than that make a pool that is `short`.
    """

    rows: Iterable[Row]
    num_wanted: int | None = None
    report: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """How much each row of a pool is wanted; bigger is better.

    `values` is float64 [n] in pool order; NaN means that the row could not be scored, and `reasons`
    says why by position. `notes` holds remarks on rows that were scored all the same (such as
    `response_truncated`). `columns` are further findings per row: an array [n], or lists of different
    lengths (`Ragged` with n of them: tags, features). `report` is for people.
    """

    values: npt.NDArray[np.float64]
    reasons: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[int, str] = field(default_factory=dict)
    columns: Mapping[str, npt.NDArray[Any] | Ragged] = field(default_factory=dict)
    report: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Which rows, best first, and optionally what each of their response tokens is for.

    `scores` is float64 [B]. `token_labels[i]` is uint8 over the response tokens of the row
    `ids[i]` as `sftbench.training_encoding` gives them (end-of-turn token included): 0 masked,
    1 cross-entropy, 2 distillation; None means that every response token is trained.
    `status` is `short` when the pool had fewer eligible rows than the budget.
    """

    ids: tuple[str, ...]
    scores: npt.NDArray[np.float64] | None = None
    token_labels: Ragged | None = None
    status: Literal["full", "short"] = "full"
    report: Mapping[str, Json] = field(default_factory=dict)

    def beginning(self, num_rows: int) -> Selection:
        """The best `num_rows` rows; how many were cut is in the report."""
        if num_rows >= len(self.ids):
            return self
        labels = self.token_labels
        if labels is not None:
            end = labels.offsets[num_rows]
            labels = Ragged(values=labels.values[:end], offsets=labels.offsets[: num_rows + 1])
        return Selection(
            ids=self.ids[:num_rows],
            scores=None if self.scores is None else self.scores[:num_rows],
            token_labels=labels,
            status=self.status,
            report={**self.report, "num_rows_cut_for_cost": len(self.ids) - num_rows},
        )


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model on disk: `path` is a folder that `from_pretrained` reads; an adapter when `base_path` is set.

    `selection` is from a trainer that `chooses`: the rows that it has really trained on, each once and in the order
    of first use, and which of their tokens, where not all.
    """

    path: Path
    base_path: Path | None = None
    report: Mapping[str, Json] = field(default_factory=dict)
    selection: Selection | None = None


@dataclass(frozen=True, kw_only=True)
class Responses:
    """What a model answered to held-out rows, one text per row id.

    `earlier` has, by id, the answers before that to the turns of a row that has several open ones: they stand in the
    place of its responses before the last, which are references.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    earlier: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdicts:
    """A judge's view per held-out item: `preference` float64 in 0..1 for the model (0.5 = tie, NaN = failed).

    `columns` are further findings, a value per item: keys of verdict files (docs/judging.md) with their meaning there,
    such as `length_model`, `baseline_first` or `flags`.
    """

    ids: tuple[str, ...]
    preference: npt.NDArray[np.float64]
    columns: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    report: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Named metrics with the value of every item, so that intervals and paired tests are possible.

    `items[metric]` is float64 over `ids`, or over `ids_of[metric]` where a metric has items of its own, as with
    several tasks; the metric's value is the mean of its finite items.

    `numbers[metric]` is a metric that is no mean of items, or whose items are not known (NaN: it failed). It has an
    interval from training seeds alone, which does not cover the choice of items, and none from one seed.
    """

    ids: tuple[str, ...]
    items: Mapping[str, npt.NDArray[np.float64]]
    bigger_is_better: Mapping[str, bool]
    report: Mapping[str, Json] = field(default_factory=dict)
    ids_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
