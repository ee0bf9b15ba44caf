"""A step in the pieces that one process works on: padded micro-batches, and which rows of the batch they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import TrainingArguments

from sftbench.engines.loss import collate
from sftbench.engines.training.job import Job
from sftbench.engines.training.rows import TrainingRow

Step = dict[str, Any]
"""`micro_batches` as `collate` gives them, `places` int64 [b] of their rows in the global batch, `normalisers`."""


class Pieces(Dataset[Step]):
    """The steps of a plan as one process sees them, with the normalisers of all."""

    def __init__(self, job: Job, *, first_step: int, arguments: TrainingArguments) -> None:
        self.job, self.first_step = job, first_step
        self.rank, self.world_size = arguments.process_index, arguments.world_size
        self.device = "cuda" if arguments.device.type == "cuda" else "cpu"

    def __len__(self) -> int:
        return self.job.plan.num_steps - self.first_step

    def __getitem__(self, index: int) -> Step:
        plan, step = self.job.plan, self.first_step + index
        batch = plan.batch(step)
        place_of = {int(row): place for place, row in enumerate(batch)}
        groups = plan.micro_batches(step, rank=self.rank, world_size=self.world_size, device=self.device)
        places = [[place_of[row] for row in group] for group in groups]
        return assembled([self.job.rows[row] for row in batch], places, normalisers=plan.normalisers(step))


def assembled(rows: Sequence[TrainingRow], places: Sequence[list[int]], *, normalisers: tuple[float, float]) -> Step:
    """A step from the rows of its global batch, and where in it stand those of each micro-batch of this process."""
    micro_batches = [collate([rows[place] for place in group]) for group in places if group]
    return {
        "micro_batches": micro_batches or [_idle(rows)],
        "places": [torch.tensor(group, dtype=torch.int64) for group in places if group] or [torch.zeros(0).long()],
        "normalisers": normalisers,
    }


def _idle(rows: Sequence[TrainingRow]) -> dict[str, Tensor]:
    # Fewer rows than processes: this one still has to take part in the exchange of gradients.
    one = collate(rows[:1])
    return {"token_ids": one["token_ids"], **{name: one[name][:0] for name in one if name != "token_ids"}}


def origins(micro_batch: Mapping[str, Tensor], places: Tensor) -> tuple[Tensor, Tensor]:
    """For each cross-entropy of a micro-batch the row of the global batch, and which of its tokens was predicted."""
    width = micro_batch["token_ids"].shape[1]
    return places[micro_batch["ce_at"] // width], micro_batch["ce_at"] % width + 1
