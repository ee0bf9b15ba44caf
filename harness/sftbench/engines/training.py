"""Fine-tuning for all trainers: `transformers.Trainer` fed with whole optimiser steps, under the one loss contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from sftbench.engines import train_checkpoint, train_models
from sftbench.engines.flops import shape_at
from sftbench.engines.loss import Objective, check_vocabularies
from sftbench.engines.train_job import Job
from sftbench.engines.train_loop import Observer, StepTrainer, arguments_for
from sftbench.engines.train_optimizer import adamw
from sftbench.engines.train_report import meter, report_of
from sftbench.engines.train_rows import TrainingRows
from sftbench.engines.train_settings import Distillation, TrainingSettings
from sftbench.errors import UsageError
from sftbench.roles import Desk
from sftbench.rooms import TrainedModel

CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints: what a kill can cost."""


def fine_tune(
    rows: TrainingRows, *, settings: TrainingSettings, desk: Desk, out: Path, distillation: Distillation | None = None
) -> TrainedModel:
    """Train `desk.model_path("base")` on rows and leave the model in `out`.

    Deterministic in `desk.seed` on CPU. A training that was killed goes on from its last checkpoint in
    `desk.scratch`, with the same result. Tokens and FLOPs are metered. Several visible GPUs are used by
    as many processes. Raises UsageError when rows are marked for distillation and there is no teacher,
    SftbenchError when the loss is no longer finite.
    """
    if distillation is None and any(row.kd_weights.any() for row in rows.rows):
        raise UsageError("the selection marks tokens for distillation, but this training has no teacher")
    base = desk.model_path("base")
    shape = shape_at(train_models.root(base))
    job = Job(
        rows=rows.rows,
        settings=settings.for_model(shape.num_body_parameters + shape.vocab_size * shape.width),
        seed=desk.seed,
        base=base,
        out=out,
        scratch=desk.scratch,
        distillation=distillation,
        teacher=desk.model_path(distillation.teacher) if distillation else None,
    )
    with desk.progress(job.plan.num_steps, "step") as progress:
        if torch.cuda.device_count() > 1:
            from sftbench.engines.train_processes import run_in_processes

            sums = run_in_processes(job, num_processes=torch.cuda.device_count(), advance=progress.advance)
        else:
            sums = run(job, advance=progress.advance)
    meter(job, desk)
    report = report_of(job, sums.numpy(), rows)
    desk.log(
        f"trained {report['num_rows_trained']} rows in {report['num_steps']} steps: loss {report['final_loss']:.3f}"
    )
    return TrainedModel(path=out, base_path=train_models.root(base) if settings.rank else None, report=report)


def run(job: Job, *, advance: Callable[[int], None]) -> torch.Tensor:
    """Carry out a job in this process, which may be one of several; the first of them saves the model.

    Returns the sums of the cross-entropy and the distillation losses of every step, float64 [steps, 2].
    """
    arguments = arguments_for(job)
    model = train_models.trainable(job.base, job.settings, seed=job.seed)
    objective = _objective(job, model, device=arguments.device)
    optimizer = adamw(objective, job.settings)
    checkpoint = job.scratch / "training.safetensors"
    sums = train_checkpoint.restore(checkpoint, identity=job.identity, model=objective, optimizer=optimizer)
    if sums is None:
        sums = torch.empty(0, 2, dtype=torch.float64)
    advance(len(sums))
    if len(sums) < job.plan.num_steps:
        trainer = StepTrainer(job, objective, arguments=arguments, optimizer=optimizer, sums=sums)

        def keep() -> None:
            losses = trainer.sums()
            train_checkpoint.save(
                checkpoint, identity=job.identity, model=objective, optimizer=optimizer, losses=losses
            )

        trainer.add_callback(Observer(advance=advance, keep=keep, seconds=CHECKPOINT_SECONDS))
        trainer.train()
        sums = trainer.sums()
    if arguments.process_index == 0:
        train_models.save(model, base=job.base, out=job.out)
    return sums


def _objective(job: Job, model: torch.nn.Module, *, device: torch.device) -> Objective:
    if job.teacher is None or job.distillation is None:
        return Objective(model).to(device)
    teacher = train_models.load(job.teacher, dtype=train_models.frozen_dtype(), device=device)
    student_head, teacher_head = (each.get_output_embeddings().weight for each in (model, teacher))  # type: ignore[operator]
    check_vocabularies(student=len(student_head), teacher=len(teacher_head))
    return Objective(model, teacher=teacher, temperature=job.distillation.temperature).to(device)
