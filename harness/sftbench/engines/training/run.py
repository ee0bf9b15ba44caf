"""Carry out one training job in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.optim import Optimizer

from sftbench.engines.loss import Objective, check_vocabularies
from sftbench.engines.training import checkpoint as checkpoints
from sftbench.engines.training import models
from sftbench.engines.training.job import Job
from sftbench.engines.training.loop import Observer, StepTrainer, arguments_for
from sftbench.engines.training.optimizer import adamw
from sftbench.engines.training.seen import Seen
from sftbench.errors import SftbenchError

CHECKPOINT_SECONDS = 300.0
"""Time between checkpoints: what a kill can cost."""


def run(job: Job, *, advance: Callable[[int], None]) -> Seen:
    """Carry out a job in this process, which may be one of several; the first of them saves model or state."""
    arguments = arguments_for(job)
    model = models.trainable(job.base, job.settings, seed=job.seed)
    objective = _objective(job, model, device=arguments.device)
    optimizer = adamw(objective, job.settings)
    _take_up(job, objective, optimizer)
    checkpoint = job.scratch / "training.safetensors"
    stored = checkpoints.restore(checkpoint, identity=job.identity, model=objective, optimizer=optimizer)
    seen = Seen.nothing(job) if stored is None else Seen.of(stored)
    advance(seen.num_steps)
    if seen.num_steps < job.plan.num_steps:
        trainer = StepTrainer(job, objective, arguments=arguments, optimizer=optimizer, seen=seen)

        def keep() -> None:
            so_far = trainer.seen().tensors()
            checkpoints.save(checkpoint, identity=job.identity, model=objective, optimizer=optimizer, seen=so_far)

        trainer.add_callback(Observer(advance=advance, keep=keep, seconds=CHECKPOINT_SECONDS))
        trainer.train()
        seen = trainer.seen()
    if arguments.process_index == 0:
        if job.stretch is None:
            models.save(model, base=job.base, out=job.out)
        else:
            kept = optimizer if job.keeps_optimizer else None
            checkpoints.save(job.out, identity=job.identity, model=objective, optimizer=kept, seen={})
    return seen


def _take_up(job: Job, objective: Objective, optimizer: Optimizer) -> None:
    """Put weights and optimiser to where the round before left them."""
    if job.stretch is None or job.stretch.state is None:
        return
    state = Path(job.stretch.state)
    if checkpoints.restore(state, identity=job.stretch.after, model=objective, optimizer=optimizer) is None:
        raise SftbenchError(f"{state} is not what the round before has left; the training cannot go on")


def _objective(job: Job, model: torch.nn.Module, *, device: torch.device) -> Objective:
    if job.teacher is None or job.distillation is None:
        return Objective(model).to(device)
    teacher = models.load(job.teacher, dtype=models.frozen_dtype(), device=device)
    student_head, teacher_head = (each.get_output_embeddings().weight for each in (model, teacher))  # type: ignore[operator]
    check_vocabularies(student=len(student_head), teacher=len(teacher_head))
    return Objective(model, teacher=teacher, temperature=job.distillation.temperature).to(device)
