"""A training in several rounds on one model, for trainers that decide between them what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sftbench.engines.loss import Objective
from sftbench.engines.passages import Passage
from sftbench.engines.training import checkpoint, models
from sftbench.engines.training.between import losses_between
from sftbench.engines.training.fine_tune import carried_out, settled
from sftbench.engines.training.job import Job, Stretch
from sftbench.engines.training.report import meter, report_of
from sftbench.engines.training.rows import TrainingRows
from sftbench.engines.training.seen import Seen
from sftbench.engines.training.settings import TrainingSettings, Weighing
from sftbench.errors import SftbenchError, UsageError
from sftbench.roles import Desk
from sftbench.rooms import Json, Ragged, TrainedModel


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """What a round has shown: `losses` [n], the mean cross-entropy in nats of each row when it was last trained on.

    They come from the training itself, before the update and with dropout if there is any; NaN for a row without
    a trained token or beyond a fraction of an epoch.
    """

    losses: npt.NDArray[np.float64]
    num_steps: int
    report: Mapping[str, Json]


class Rounds:
    """`train` as often as wanted, each time on from where the round before ended, then `finish`.

    Weights stay in float32 between rounds. With `keeps_optimizer` its state goes on too, and the learning rate falls
    over the `num_steps` steps that all rounds are expected to take together; else every round has a fresh
    optimiser and a schedule of its own. A part that was killed calls the same rounds again: those that ended
    come from `desk.scratch`, the one that was cut off goes on from its checkpoint, and the result is the same.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        desk: Desk,
        *,
        num_steps: int | None = None,
        keeps_optimizer: bool = True,
        weighing: Weighing | None = None,
    ) -> None:
        self.base = desk.model_path("base")
        self.settings, self.desk = settled(settings, self.base), desk
        self.num_steps, self.keeps_optimizer, self.weighing = num_steps, keeps_optimizer, weighing
        self.folder = desk.scratch / "rounds"
        self.jobs: list[Job] = []
        self.done: list[Round] = []

    @property
    def num_steps_done(self) -> int:
        """Optimiser steps of all rounds so far."""
        return sum(each.num_steps for each in self.done)

    def train(self, rows: TrainingRows) -> Round:
        """One round over these rows, as many epochs as the settings say. Tokens and FLOPs are metered."""
        job = self._job(rows)
        result = self.folder / f"seen-{len(self.jobs)}.safetensors"
        seen = _stored(result, job.identity)
        if seen is None:
            seen = carried_out(job, self.desk)
            save_file(seen.tensors(), result, metadata={"identity": job.identity})
        if self.jobs:
            # Only now is the state before this round no longer wanted.
            self.jobs[-1].out.unlink(missing_ok=True)
        meter(job, self.desk)
        self.jobs.append(job)
        self.done.append(
            Round(losses=seen.last_losses(job), num_steps=seen.num_steps, report=report_of(job, seen, rows))
        )
        return self.done[-1]

    def finish(self, out: Path) -> TrainedModel:
        """Leave the model as it is now in the folder `out`. Raises UsageError before the first round."""
        saved = self._save(out)
        report: dict[str, Json] = {
            "num_rounds": len(self.done),
            "num_steps": self.num_steps_done,
            "learning_rate": self.settings.peak_learning_rate,
            "final_loss": self.done[-1].report["final_loss"],
            "loss_by_round": [each.report["mean_cross_entropy"] for each in self.done],
        }
        return replace(saved, report=report)

    def losses(self, passages: Iterable[Passage]) -> Ragged:
        """Losses in nats of the scored tokens of each passage under the model as it is now, float32 [m]. Metered."""
        return losses_between(
            list(passages), save=self._save, identity=self._last.identity, folder=self.folder, desk=self.desk
        )

    @property
    def _last(self) -> Job:
        if not self.jobs:
            raise UsageError("nothing was trained: there was no round")
        return self.jobs[-1]

    def _save(self, out: Path) -> TrainedModel:
        last = self._last
        model = models.trainable(self.base, self.settings, seed=last.seed)
        if checkpoint.restore(last.out, identity=last.identity, model=Objective(model)) is None:
            raise SftbenchError(f"{last.out} is not what the last round has left")
        models.save(model, base=self.base, out=out)
        return TrainedModel(path=out, base_path=models.root(self.base) if self.settings.rank else None)

    def _job(self, rows: TrainingRows) -> Job:
        number, before = len(self.jobs), self.jobs[-1] if self.jobs else None
        # Rounds of one size must not all have one order and one dropout.
        seeds = np.random.SeedSequence([self.desk.seed, number])
        job = Job(
            rows=rows.rows,
            settings=self.settings,
            seed=self.desk.seed if number == 0 else int(seeds.generate_state(1)[0]),
            base=self.base,
            out=self.folder / f"state-{number}.safetensors",
            scratch=self.desk.scratch,
            weighing=self.weighing,
            keeps_optimizer=self.keeps_optimizer,
        )
        num_steps = job.plan.num_steps
        stretch = Stretch(
            first_step=self.num_steps_done if self.keeps_optimizer else 0,
            num_steps=max(self.num_steps or 0, num_steps) if self.keeps_optimizer else num_steps,
            state=None if before is None else str(before.out),
            after=None if before is None else before.identity,
        )
        return replace(job, stretch=stretch)


def _stored(path: Path, identity: str) -> Seen | None:
    """What a round has shown that ended before this process began."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as stored:
        if (stored.metadata() or {}).get("identity") != identity:
            return None
    return Seen.of(load_file(path))
