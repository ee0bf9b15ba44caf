"""Carry out one training job in this process."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sftbench.engines.loss import Objective, check_vocabularies
from sftbench.engines.training import checkpoint as checkpoints
from sftbench.engines.training import models
from sftbench.engines.training.job import Job
from sftbench.engines.training.loop import Observer, StepTrainer, arguments_for
from sftbench.engines.training.optimizer import adamw

CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints: what a kill can cost."""


def run(job: Job, *, advance: Callable[[int], None]) -> torch.Tensor:
    """Carry out a job in this process, which may be one of several; the first of them saves the model.

    Returns the sums of the cross-entropy and the distillation losses of every step, float64 [steps, 2].
    """
    arguments = arguments_for(job)
    model = models.trainable(job.base, job.settings, seed=job.seed)
    objective = _objective(job, model, device=arguments.device)
    optimizer = adamw(objective, job.settings)
    checkpoint = job.scratch / "training.safetensors"
    sums = checkpoints.restore(checkpoint, identity=job.identity, model=objective, optimizer=optimizer)
    if sums is None:
        sums = torch.empty(0, 2, dtype=torch.float64)
    advance(len(sums))
    if len(sums) < job.plan.num_steps:
        trainer = StepTrainer(job, objective, arguments=arguments, optimizer=optimizer, sums=sums)

        def keep() -> None:
            losses = trainer.sums()
            checkpoints.save(checkpoint, identity=job.identity, model=objective, optimizer=optimizer, losses=losses)

        trainer.add_callback(Observer(advance=advance, keep=keep, seconds=CHECKPOINT_SECONDS))
        trainer.train()
        sums = trainer.sums()
    if arguments.process_index == 0:
        models.save(model, base=job.base, out=job.out)
    return sums


def _objective(job: Job, model: torch.nn.Module, *, device: torch.device) -> Objective:
    if job.teacher is None or job.distillation is None:
        return Objective(model).to(device)
    teacher = models.load(job.teacher, dtype=models.frozen_dtype(), device=device)
    student_head, teacher_head = (each.get_output_embeddings().weight for each in (model, teacher))  # type: ignore[operator]
    check_vocabularies(student=len(student_head), teacher=len(teacher_head))
    return Objective(model, teacher=teacher, temperature=job.distillation.temperature).to(device)
