"""The microcosm suite as the harness sees it: pool, held-out items, base model, default settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from sftbench import Json
from sftbench_plugins.answers import Answers, is_correct
from sftbench_plugins.microcosm.tasks import Task, make_task

MODEL_FOLDER: Final = Path(__file__).parent / "model"

NUM_POOL_ROWS: Final = 500
PLANTED_SHARE: Final = 0.5
BUDGET_ROWS: Final = 60
NUM_HELDOUT_ITEMS: Final = 242
MAX_NEW_TOKENS: Final = 64

NUM_EPOCHS: Final = 6
LEARNING_RATE: Final = 1e-3
BATCH_SIZE: Final = 16
WARMUP_SHARE: Final = 0.1
WEIGHT_DECAY: Final = 0.0

VERSION: Final = "3"
"""Bumped whenever the rows, the items or the base model change."""

DEFAULTS: Final[Mapping[str, Json]] = {
    "plant": PLANTED_SHARE,
    "budget": [str(BUDGET_ROWS)],
    "max_new_tokens": MAX_NEW_TOKENS,
    "trainer": (
        f"sft[epochs={NUM_EPOCHS},learning_rate={LEARNING_RATE},batch_size={BATCH_SIZE},"
        f"warmup_share={WARMUP_SHARE},weight_decay={WEIGHT_DECAY}]"
    ),
}
"""Settings of a run that suit this suite."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class Row(TypedDict):
    """A row of the pool, or with `answers` a held-out item."""

    id: str
    messages: list[Message]
    family: str
    answers: NotRequired[Answers]


def pool_rows(num_rows: int = NUM_POOL_ROWS, *, seed: int = 0) -> Iterator[Row]:
    """Clean rows, no instruction twice; the number in an id is the index of its task."""
    for index, task in _distinct(num_rows, seed, heldout=False):
        yield _row(f"microcosm-{seed}-{index}", task)


def heldout_rows(num_items: int = NUM_HELDOUT_ITEMS, *, seed: int = 0) -> Iterator[Row]:
    """Items whose contents, not only their wordings, never occur in any pool."""
    for index, task in _distinct(num_items, seed, heldout=True):
        row = _row(f"microcosm-heldout-{seed}-{index}", task)
        row["answers"] = task.answers
        yield row


def is_right(row_id: str, response: str) -> bool:
    """Whether a response would be right for the pool row with this id.

    Raises `ValueError` for an id that `pool_rows` did not give.
    """
    match row_id.split("-"):
        case ["microcosm", seed, index] if seed.isdigit() and index.isdigit():
            return is_correct(response, make_task(int(seed), int(index)).answers)
    raise ValueError(f"not a microcosm pool row: {row_id!r}")


def _row(row_id: str, task: Task) -> Row:
    return {
        "id": row_id,
        "messages": [
            {"role": "user", "content": task.instruction},
            {"role": "assistant", "content": task.response},
        ],
        "family": task.family,
    }


def _distinct(num_tasks: int, seed: int, *, heldout: bool) -> Iterator[tuple[int, Task]]:
    """Tasks in order of index, skipping every instruction that came before."""
    seen: set[bytes] = set()
    index = 0
    while len(seen) < num_tasks:
        task = make_task(seed, index, heldout=heldout)
        digest = hashlib.sha256(task.instruction.encode()).digest()[:12]
        if digest not in seen:
            seen.add(digest)
            yield index, task
        index += 1
