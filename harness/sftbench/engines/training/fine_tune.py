"""Fine-tuning for all trainers: `transformers.Trainer` fed with whole optimiser steps, under the one loss contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from sftbench.engines.flops import shape_at
from sftbench.engines.training import models
from sftbench.engines.training.job import Job
from sftbench.engines.training.report import meter, report_of
from sftbench.engines.training.rows import TrainingRows
from sftbench.engines.training.run import run
from sftbench.engines.training.seen import Seen
from sftbench.engines.training.settings import Distillation, TrainingSettings, Weighing
from sftbench.errors import UsageError
from sftbench.roles import Desk
from sftbench.rooms import Ragged, TrainedModel


def fine_tune(
    rows: TrainingRows,
    *,
    settings: TrainingSettings,
    desk: Desk,
    out: Path,
    distillation: Distillation | None = None,
    weighing: Weighing | None = None,
    watch: Callable[[Ragged], None] | None = None,
) -> TrainedModel:
    """Train `desk.model_path("base")` on rows and leave the model in `out`.

    Deterministic in `desk.seed` on CPU. A training that was killed goes on from its last checkpoint in
    `desk.scratch`, with the same result. Tokens and FLOPs are metered. Several visible GPUs are used by
    as many processes. With a `weighing`, weights of tokens are settled at every step, and `watch` gets in the end how
    many steps used each token of each row, [L]. Raises UsageError when rows are marked for distillation and there
    is no teacher, SftbenchError when the loss is no longer finite.
    """
    if distillation is None and any(row.kd_weights.any() for row in rows.rows):
        raise UsageError("the selection marks tokens for distillation, but this training has no teacher")
    base = desk.model_path("base")
    job = Job(
        rows=rows.rows,
        settings=settled(settings, base),
        seed=desk.seed,
        base=base,
        out=out,
        scratch=desk.scratch,
        distillation=distillation,
        teacher=desk.model_path(distillation.teacher) if distillation else None,
        weighing=weighing,
    )
    seen = carried_out(job, desk)
    meter(job, desk)
    report = report_of(job, seen, rows)
    desk.log(
        f"trained {report['num_rows_trained']} rows in {report['num_steps']} steps: loss {report['final_loss']:.3f}"
    )
    if watch is not None:
        watch(seen.uses_of_rows(job))
    return TrainedModel(path=out, base_path=models.root(base) if settings.rank else None, report=report)


def settled(settings: TrainingSettings, base: TrainedModel) -> TrainingSettings:
    """The settings with the learning rate that suits a model of this size, where none is given."""
    shape = shape_at(models.root(base))
    return settings.for_model(shape.num_body_parameters + shape.vocab_size * shape.width)


def carried_out(job: Job, desk: Desk) -> Seen:
    """Do a job, in as many processes as there are GPUs."""
    with desk.progress(job.plan.num_steps, "step") as progress:
        if torch.cuda.device_count() > 1:
            from sftbench.engines.training.processes import run_in_processes

            return run_in_processes(job, num_processes=torch.cuda.device_count(), advance=progress.advance)
        return run(job, advance=progress.advance)
