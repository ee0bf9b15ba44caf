"""What a training has seen, step by step: what reports, choices of tokens and choices of rows are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sftbench.engines.training.job import Job
from sftbench.rooms import Ragged

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Numbers of the steps done so far, as tensors, so that they can stand in a checkpoint.

    `sums` float64 [steps, 4]: the weighted sums of the cross-entropy and the distillation losses, and the weights of
    either. `visits` float32 [steps, batch]: the mean cross-entropy of each row of a step, in the order of the plan, NaN
    for one that had no weight. `uses` int32 [tokens of all rows]: in how many steps each token had a weight.
    """

    sums: Tensor
    visits: Tensor
    uses: Tensor

    @classmethod
    def nothing(cls, job: Job) -> Seen:
        """Before the first step."""
        return cls(
            sums=torch.empty(0, 4, dtype=torch.float64),
            visits=torch.empty(0, job.settings.batch_size),
            uses=torch.zeros(sum(len(row) for row in job.rows), dtype=torch.int32),
        )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Seen:
        """What `tensors` gave."""
        return cls(**{name: tensors[name] for name in ("sums", "visits", "uses")})

    def followed_by(self, sums: Sequence[Tensor], visits: Sequence[Tensor], *, uses: Tensor) -> Seen:
        """With further steps: `sums` [4] and `visits` [batch] of each, and `uses` after all."""
        return Seen(
            sums=torch.cat([self.sums, *(each[None] for each in sums)]),
            visits=torch.cat([self.visits, *(each[None] for each in visits)]),
            uses=uses,
        )

    def tensors(self) -> dict[str, Tensor]:
        """By name, for a file."""
        return {"sums": self.sums, "visits": self.visits, "uses": self.uses}

    @property
    def num_steps(self) -> int:
        """Steps done so far."""
        return len(self.sums)

    def last_losses(self, job: Job) -> Floats:
        """Mean cross-entropy [n] in nats of each row of the job when it was last trained on; NaN if it never was."""
        losses = np.full(len(job.rows), np.nan)
        for step, of_step in enumerate(self.visits.double().numpy()):
            batch = job.plan.batch(step)
            losses[batch] = of_step[: len(batch)]
        return losses

    def uses_of_rows(self, job: Job) -> Ragged:
        """`uses` [L] of each row of the job."""
        lengths = [len(row) for row in job.rows]
        return Ragged(values=self.uses.numpy(), offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
