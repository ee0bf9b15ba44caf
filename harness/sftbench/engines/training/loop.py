"""The loop itself: `transformers.Trainer` whose every item is one whole optimiser step of this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sftbench.engines.loss import Objective, combined
from sftbench.engines.training.job import Job, Stretch
from sftbench.engines.training.optimizer import schedule
from sftbench.engines.training.pieces import Pieces, Step, assembled, origins
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.seen import Seen
from sftbench.engines.training.weighing import weighed
from sftbench.errors import SftbenchError


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
    normaliser; here both belong to the step. The steps that were `seen` are done already.
    """

    def __init__(
        self, job: Job, objective: Objective, *, arguments: TrainingArguments, optimizer: Optimizer, seen: Seen
    ) -> None:
        self.job = job
        self.first_step = seen.num_steps
        self._earlier = seen
        self._uses = seen.uses.clone()
        self._sums: list[Tensor] = []
        self._visits: list[Tensor] = []
        arguments.max_steps = job.plan.num_steps - self.first_step
        stretch = job.stretch or Stretch(first_step=0, num_steps=job.plan.num_steps)
        first_step = stretch.first_step + self.first_step
        scheduler = schedule(optimizer, first_step=first_step, num_steps=stretch.num_steps, settings=job.settings)
        super().__init__(model=objective, args=arguments, optimizers=(optimizer, scheduler))
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[Step]:
        """This process's share of every step that is left, in order."""
        steps = Pieces(self.job, first_step=self.first_step, arguments=self.args)
        return DataLoader(steps, batch_size=None, shuffle=False, collate_fn=_as_is)

    def training_step(self, model: nn.Module, inputs: Step, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over a whole step; gradients meet once, after the last micro-batch."""
        self._seed()
        inputs = self._prepare_inputs(inputs)
        if self.job.weighing is not None:
            inputs = self._prepare_inputs(self._weighed(inputs))
        model.train()
        micro_batches = inputs["micro_batches"]
        total = torch.zeros(2, device=self.args.device, dtype=torch.float64)
        of_rows = torch.zeros(2, self.job.settings.batch_size, device=self.args.device, dtype=torch.float64)
        for number, micro_batch in enumerate(micro_batches):
            with nullcontext() if number == len(micro_batches) - 1 else self.accelerator.no_sync(model):
                ce_sum, kd_sum, losses = model(**micro_batch)
                loss = combined(ce_sum, kd_sum, normalisers=inputs["normalisers"], share=self._share)
                # Several processes average their gradients; the contract is a sum.
                self.accelerator.backward(loss * self.args.world_size)
            total += torch.stack([ce_sum.detach(), kd_sum.detach()])
            place, weights = origins(micro_batch, inputs["places"][number])[0], micro_batch["ce_weights"]
            of_rows.index_add_(1, place, torch.stack([losses * weights, weights]).double())
        if self.args.world_size > 1:
            total, of_rows = self.accelerator.reduce([total, of_rows])
        self._note(total, of_rows, inputs["normalisers"])
        return loss.detach()

    def seen(self) -> Seen:
        """What the steps of all processes have shown, those before this one began included."""
        return self._earlier.followed_by(self._sums, self._visits, uses=self._uses)

    def _weighed(self, inputs: Step) -> Step:
        """The step with the weights that its tokens have now; all processes come to the same."""
        assert self.job.weighing is not None
        batch = self.job.plan.batch(self._step)
        rows = [self.job.rows[index] for index in batch]
        live = self.job.weighing.keep is not None and self.job.weighing.live
        made = weighed(rows, self.job.weighing, self._live_losses(inputs, rows) if live else None)
        for row, start in zip(made, self._starts[batch], strict=True):
            used = (row.ce_weights + row.kd_weights > 0).astype(np.int32)
            self._uses[start : start + len(row)] += torch.from_numpy(used)
        normalisers = sum(float(row.ce_weights.sum()) for row in made), sum(float(row.kd_weights.sum()) for row in made)
        return assembled(made, [place.tolist() for place in inputs["places"]], normalisers=normalisers)

    @torch.no_grad()
    def _live_losses(self, inputs: Step, rows: Sequence[TrainingRow]) -> list[npt.NDArray[np.float32]]:
        """The cross-entropy [L] of every token of the global batch that may be chosen, without dropout."""
        starts = np.cumsum([0, *(len(row) for row in rows)])
        flat = torch.zeros(int(starts[-1]), device=self.args.device)
        # Not the wrapper of several processes: they may have different numbers of micro-batches.
        objective = self.model.eval()  # type: ignore[union-attr]
        for micro_batch, places in zip(inputs["micro_batches"], inputs["places"], strict=True):
            *_, losses = objective(**micro_batch)
            place, at = origins(micro_batch, places)
            flat[torch.from_numpy(starts).to(flat.device)[place] + at] = losses.float()
        if self.args.world_size > 1:
            flat = self.accelerator.reduce(flat)
        return np.split(flat.cpu().numpy(), starts[1:-1])

    def _note(self, total: Tensor, of_rows: Tensor, normalisers: tuple[float, float]) -> None:
        self._refuse_non_finite(float(total.sum()))
        self._sums.append(torch.cat([total.cpu(), torch.tensor(normalisers, dtype=torch.float64)]))
        self._visits.append((of_rows[0] / of_rows[1]).float().cpu())

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.cumsum([0, *(len(row) for row in self.job.rows)])

    @property
    def _step(self) -> int:
        return self.first_step + len(self._sums)

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
