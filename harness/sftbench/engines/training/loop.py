"""The loop itself: `transformers.Trainer` whose every item is one whole optimiser step of this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sftbench.engines.loss import Objective, collate, combined
from sftbench.engines.training.job import Job
from sftbench.engines.training.optimizer import schedule
from sftbench.errors import SftbenchError

Step = dict[str, Any]


def arguments_for(job: Job) -> TrainingArguments:
    """Trainer's arguments: bfloat16 on CUDA alone; no logging, saving or reporting by Trainer itself."""
    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(job.scratch / "trainer"),
        per_device_train_batch_size=1,
        max_steps=job.plan.num_steps,
        max_grad_norm=job.settings.clip_norm,
        seed=job.seed % 2**32,
        bf16=cuda,
        use_cpu=not cuda,
        ddp_find_unused_parameters=False,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        logging_nan_inf_filter=False,
        disable_tqdm=True,
    )
    # One process is one device: several visible ones must not become torch's DataParallel.
    arguments._n_gpu = 1
    return arguments


class StepTrainer(Trainer):
    """A Trainer that is given one global batch at a time, already cut into micro-batches.

    Trainer's own accumulation knows only a fixed number of micro-batches and counts tokens with one
    normaliser; here both belong to the step. The steps before `len(sums)` are done already.
    """

    def __init__(
        self, job: Job, objective: Objective, *, arguments: TrainingArguments, optimizer: Optimizer, sums: Tensor
    ) -> None:
        self.job = job
        self.first_step = len(sums)
        self._earlier = sums
        self._done: list[tuple[float, float]] = []
        arguments.max_steps = job.plan.num_steps - self.first_step
        scheduler = schedule(optimizer, first_step=self.first_step, num_steps=job.plan.num_steps, settings=job.settings)
        super().__init__(model=objective, args=arguments, optimizers=(optimizer, scheduler))
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[Step]:
        """This process's share of every step that is left, in order."""
        steps = Steps(self.job, first_step=self.first_step, arguments=self.args)
        return DataLoader(steps, batch_size=None, shuffle=False, collate_fn=_as_is)

    def training_step(self, model: nn.Module, inputs: Step, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over a whole step; gradients meet once, after the last micro-batch."""
        model.train()
        self._seed()
        inputs = self._prepare_inputs(inputs)
        micro_batches = inputs["micro_batches"]
        total = torch.zeros(2, device=self.args.device, dtype=torch.float64)
        for place, micro_batch in enumerate(micro_batches):
            with nullcontext() if place == len(micro_batches) - 1 else self.accelerator.no_sync(model):
                ce_sum, kd_sum = model(**micro_batch)
                loss = combined(ce_sum, kd_sum, normalisers=inputs["normalisers"], share=self._share)
                # Several processes average their gradients; the contract is a sum.
                self.accelerator.backward(loss * self.args.world_size)
            total += torch.stack([ce_sum.detach(), kd_sum.detach()])
        if self.args.world_size > 1:
            total = self.accelerator.reduce(total)
        ce_total, kd_total = total.tolist()
        self._refuse_non_finite(ce_total + kd_total)
        self._done.append((ce_total, kd_total))
        return loss.detach()

    def sums(self) -> Tensor:
        """Summed losses [steps, 2] over the tokens of all processes, the steps before this one began included."""
        return torch.cat([self._earlier, torch.tensor(self._done, dtype=torch.float64).reshape(-1, 2)])

    @property
    def _step(self) -> int:
        return self.first_step + len(self._done)

    @property
    def _share(self) -> float:
        return 1.0 if self.job.distillation is None else self.job.distillation.cross_entropy_share

    def _seed(self) -> None:
        # Dropout then depends on the step and not on what ran before, so a checkpoint needs no generator state.
        seeds = np.random.SeedSequence([self.job.seed, self._step, self.args.process_index])
        torch.manual_seed(int(seeds.generate_state(1)[0]))

    def _refuse_non_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            rate = self.lr_scheduler.get_last_lr()[0]  # type: ignore[union-attr]
            raise SftbenchError(
                f"the loss is {loss} at step {self._step + 1} of {self.job.plan.num_steps} (learning rate {rate:.3g}); "
                "a lower learning_rate or a smaller clip_norm may help"
            )


class Steps(Dataset[Step]):
    """The steps of a plan as this process sees them: padded micro-batches, and the normalisers of all."""

    def __init__(self, job: Job, *, first_step: int, arguments: TrainingArguments) -> None:
        self.job, self.first_step = job, first_step
        self.rank, self.world_size = arguments.process_index, arguments.world_size
        self.device = "cuda" if arguments.device.type == "cuda" else "cpu"

    def __len__(self) -> int:
        return self.job.plan.num_steps - self.first_step

    def __getitem__(self, index: int) -> Step:
        plan, step = self.job.plan, self.first_step + index
        groups = plan.micro_batches(step, rank=self.rank, world_size=self.world_size, device=self.device)
        micro_batches = [collate([self.job.rows[each] for each in group]) for group in groups]
        return {"micro_batches": micro_batches or [self._idle()], "normalisers": plan.normalisers(step)}

    def _idle(self) -> dict[str, Tensor]:
        # Fewer rows than processes: this one still has to take part in the exchange of gradients.
        one = collate(self.job.rows[:1])
        return {"token_ids": one["token_ids"], **{name: one[name][:0] for name in one if name != "token_ids"}}


class Observer(TrainerCallback):
    """Counts steps for a person, and keeps a checkpoint now and then."""

    def __init__(self, *, advance: Callable[[int], None], keep: Callable[[], None], seconds: float) -> None:
        self.advance, self.keep, self.seconds = advance, keep, seconds
        self.kept_at = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_rest: Any) -> None:
        self.advance(1)
        if args.process_index == 0 and time.monotonic() - self.kept_at >= self.seconds:
            self.keep()
            self.kept_at = time.monotonic()


def _as_is(step: Any) -> Any:
    return step
