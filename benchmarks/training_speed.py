"""How much the training engine costs beyond the mathematics: milliseconds per optimiser step, next to its peers.

Run: OMP_NUM_THREADS=1 python benchmarks/training_speed.py [--steps 200]

The sides are trained on the same batches of short rows with the same AdamW. `plain loop` is a hand-written PyTorch
loop over the rows padded to the longest of each batch, its output head run at every position; `same maths` is a
hand-written loop that does what the engine does (rows of similar length together, output head at response tokens
only) without Trainer; `stock Trainer` is transformers.Trainer as its documentation shows it, without logging.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from sftbench.engines.loss import Objective, collate, combined
from sftbench.engines.training.job import Job
from sftbench.engines.training.loop import Observer, StepTrainer, arguments_for
from sftbench.engines.training.optimizer import adamw
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import TrainingSettings
from sftbench.rooms import TrainedModel

VOCAB_SIZE = 128


def model() -> LlamaForCausalLM:
    """A Llama of 1.2 million parameters."""
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 6, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB_SIZE, tie_word_embeddings=True, **shape))


def rows(count: int) -> tuple[TrainingRow, ...]:
    """Rows of about 25 tokens, the last third of each being the response."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        length = int(np.clip(random.lognormal(3.1, 0.45), 6, 120))
        weights = (np.arange(length) >= length * 2 // 3).astype(np.float32)
        ids = random.integers(0, VOCAB_SIZE, length).astype(np.int32)
        made.append(TrainingRow(token_ids=ids, ce_weights=weights, kd_weights=0 * weights))
    return tuple(made)


def plain_loop(job: Job) -> Iterator[None]:
    """One padded batch per step, labels given to the model."""
    net = model().train()
    optimizer = adamw(net, job.settings)
    for step in range(job.plan.num_steps):
        net(**padded([job.rows[index] for index in job.plan.batch(step)]), use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield


def same_maths(job: Job) -> Iterator[None]:
    """The engine's own objective and micro-batches, without Trainer."""
    objective = Objective(model()).train()
    optimizer = adamw(objective, job.settings)
    for step in range(job.plan.num_steps):
        for group in job.plan.micro_batches(step):
            sums = objective(**collate([job.rows[index] for index in group]))
            combined(*sums, normalisers=job.plan.normalisers(step), share=1.0).backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield


def engine(job: Job, on_step: Callable[[], None]) -> None:
    """The loop that `fine_tune` runs."""
    objective = Objective(model())
    optimizer = adamw(objective, job.settings)
    done = torch.empty(0, 2, dtype=torch.float64)
    trainer = StepTrainer(job, objective, arguments=arguments_for(job), optimizer=optimizer, sums=done)
    trainer.add_callback(Observer(advance=lambda _: on_step(), keep=lambda: None, seconds=1e9))
    trainer.train()


def stock_trainer(job: Job, on_step: Callable[[], None]) -> None:
    """transformers.Trainer over padded batches."""
    batches = [padded([job.rows[index] for index in job.plan.batch(step)]) for step in range(job.plan.num_steps)]
    arguments = TrainingArguments(
        output_dir=str(job.scratch), max_steps=len(batches), per_device_train_batch_size=1, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model(), arguments, data_collator=lambda items: items[0], train_dataset=batches)  # type: ignore[arg-type]
    trainer.add_callback(Observer(advance=lambda _: on_step(), keep=lambda: None, seconds=1e9))
    trainer.train()


def padded(some: list[TrainingRow]) -> dict[str, torch.Tensor]:
    """Ids, mask and labels of one batch."""
    width = max(len(row) for row in some)
    ids = torch.zeros(len(some), width, dtype=torch.long)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for place, row in enumerate(some):
        tokens = torch.from_numpy(row.token_ids).long()
        ids[place, : len(row)], mask[place, : len(row)] = tokens, 1
        labels[place, : len(row)] = torch.where(torch.from_numpy(row.ce_weights) > 0, tokens, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@contextmanager
def stopwatch(name: str, num_steps: int) -> Iterator[Callable[[], None]]:
    """Report the median and the total time between the calls of what it gives."""
    ticks: list[float] = []
    yield lambda: ticks.append(time.perf_counter())
    spans = 1000 * np.diff(ticks)
    print(f"{name:14s} median {np.median(spans):7.2f} ms/step   mean {spans.mean():7.2f} ms/step   ({num_steps} steps)")


def main() -> None:
    """Time all sides one after the other, twice, so that drift of the machine shows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    num_steps = parser.parse_args().steps
    disable_progress_bar()  # type: ignore[no-untyped-call]
    print(f"{sum(p.numel() for p in model().parameters()):,} parameters, {torch.get_num_threads()} thread(s)")
    for _ in range(2):
        with tempfile.TemporaryDirectory() as scratch:
            settings = TrainingSettings(min_steps=num_steps, max_steps=num_steps, learning_rate=1e-4)
            base = TrainedModel(path=Path(scratch))
            job = Job(rows=rows(400), settings=settings, seed=0, base=base, out=Path(scratch), scratch=Path(scratch))
            for name, loop in (("plain loop", plain_loop), ("same maths", same_maths)):
                with stopwatch(name, num_steps) as tick:
                    for _step in loop(job):
                        tick()
            for name, trainer in (("engine", engine), ("stock Trainer", stock_trainer)):
                with stopwatch(name, num_steps) as tick:
                    trainer(job, tick)


if __name__ == "__main__":
    main()
