"""Measures whether the microcosm suite tells good rows from bad ones, and how long that takes.

    OMP_NUM_THREADS=1 python benchmarks/microcosm_trial.py [--budgets 120 180] [--seeds 0 1 2]

Plain PyTorch on purpose: the figures decide the suite's defaults, whatever the harness's trainer does.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from sftbench.plant import PlantableRow, plant, response_of
from sftbench_plugins.answers import is_correct
from sftbench_plugins.microcosm import suite
from sftbench_plugins.microcosm.tasks import FAMILIES

IGNORED = -100


def encoded(tokenizer: PreTrainedTokenizerFast, row: PlantableRow) -> tuple[list[int], list[int]]:
    """Tokens of a row and their labels, which count at the response and the end token only."""
    prompt = tokenizer(row["messages"][0]["content"] + "\n")["input_ids"]
    response = [*tokenizer(response_of(row))["input_ids"], tokenizer.eos_token_id]
    return prompt + response, [IGNORED] * len(prompt) + response


def padded(batch: Sequence[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded `[batch, length]` tensors for the model."""
    longest = max(len(tokens) for tokens, _ in batch)
    return {
        "input_ids": torch.tensor([tokens + [pad] * (longest - len(tokens)) for tokens, _ in batch]),
        "attention_mask": torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t, _ in batch]),
        "labels": torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in batch]),
    }


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The base model in float32 and its tokenizer."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def fine_tune(
    folder: Path, rows: Sequence[PlantableRow], *, seed: int, num_epochs: int, rate: float
) -> PreTrainedModel:
    """A fresh base model trained on the rows with AdamW, warmup and linear decay."""
    model, tokenizer = load(folder)
    examples = [encoded(tokenizer, row) for row in rows]
    rng = random.Random(seed)
    num_steps = num_epochs * -(-len(rows) // suite.BATCH_SIZE)
    warmup = max(1, round(suite.WARMUP_SHARE * num_steps))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=suite.WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (num_steps - step) / max(1, num_steps - warmup))
    )
    model.train()
    for _ in range(num_epochs):
        rng.shuffle(examples)
        for start in range(0, len(examples), suite.BATCH_SIZE):
            batch = padded(examples[start : start + suite.BATCH_SIZE], tokenizer.pad_token_id)
            model(**batch, use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model


@torch.no_grad()
def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]) -> list[str]:
    """Greedy responses, all prompts in one batch."""
    model.eval()
    tokenizer.padding_side = "left"
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True)
    tokens = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=suite.MAX_NEW_TOKENS,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


@torch.no_grad()
def mean_negative_log_likelihood(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, rows: Sequence[PlantableRow]
) -> float:
    """Per response token, the end token included, over all rows."""
    model.eval()
    return float(model(**padded([encoded(tokenizer, row) for row in rows], tokenizer.pad_token_id)).loss)


def measure(model: PreTrainedModel, folder: Path, items: Sequence[suite.Row]) -> tuple[float, float, dict[str, float]]:
    """Exact match, mean negative log-likelihood, and exact match by family."""
    _, tokenizer = load(folder)
    responses = answer(model, tokenizer, [item["messages"][0]["content"] + "\n" for item in items])
    by_family: dict[str, list[bool]] = defaultdict(list)
    for item, response in zip(items, responses, strict=True):
        by_family[item["family"]].append(is_correct(response, item["answers"]))
    right = [one for many in by_family.values() for one in many]
    likelihood = mean_negative_log_likelihood(model, tokenizer, items)
    return statistics.mean(right), likelihood, {family: statistics.mean(many) for family, many in by_family.items()}


def terse_accuracy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, num_each: int) -> dict[str, float]:
    """Share of terse tasks of each family that the model solves as it is: what it knows, whatever it can follow."""
    rng = random.Random("terse trial")
    found = {}
    for name, family in FAMILIES.items():
        contents = [family(rng) for _ in range(num_each)]
        prompts = [f"{rng.choice(content.cues)}: {content.given}\n" for content in contents]
        right = map(is_correct, answer(model, tokenizer, prompts), (content.answers for content in contents))
        found[name] = statistics.mean(right)
    return found


def drawn(pool: Sequence[PlantableRow], condition: str, budget: int, seed: int) -> list[PlantableRow]:
    """The rows of one condition: `clean`, `random`, `planted`, a kind of defect, or `all`."""
    if condition == "all":
        return list(pool)
    wanted = {
        "random": pool,
        "clean": [row for row in pool if not row["planted_kind"]],
        "planted": [row for row in pool if row["planted_kind"]],
    }.get(condition) or [row for row in pool if row["planted_kind"] == condition]
    return random.Random(f"{condition} {seed}").sample(list(wanted), min(budget, len(wanted)))


def parsed() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=suite.MODEL_FOLDER)
    parser.add_argument("--pool-rows", type=int, default=suite.NUM_POOL_ROWS)
    parser.add_argument("--share", type=float, default=suite.PLANTED_SHARE)
    parser.add_argument("--budgets", type=int, nargs="+", default=[suite.BUDGET_ROWS])
    parser.add_argument("--epochs", type=int, nargs="+", default=[suite.NUM_EPOCHS])
    parser.add_argument("--rates", type=float, nargs="+", default=[suite.LEARNING_RATE])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--conditions", nargs="+", default=["clean", "random", "planted", "all"])
    parser.add_argument("--families", action="store_true", help="also print exact match by family")
    parser.add_argument("--terse", type=int, default=0, help="also so many terse tasks of each family")
    return parser.parse_args()


def main() -> None:
    """Prints one line per condition and setting: mean and spread over the seeds."""
    given = parsed()
    logging.disable_progress_bar()
    pool = plant(
        list(suite.pool_rows(given.pool_rows)), share=given.share, seed=0,
        accepts=lambda row, response: suite.is_right(row["id"], response),
    )  # fmt: skip
    items = list(suite.heldout_rows())
    base, likelihood, _ = measure(load(given.model)[0], given.model, items)
    print(f"base: exact match {base:.3f}, negative log-likelihood {likelihood:.3f}")
    if given.terse:
        terse = terse_accuracy(*load(given.model), num_each=given.terse)
        by_family = {name: round(share, 2) for name, share in terse.items()}
        print(f"terse tasks solved: {statistics.mean(terse.values()):.3f}, {by_family}")
    print("| condition | rows | epochs | rate | exact match | spread | NLL | training s | evaluation s |")
    print("|---|---|---|---|---|---|---|---|---|")
    settings = [(b, e, r) for b in given.budgets for e in given.epochs for r in given.rates]
    for budget, epochs, rate in settings:
        for condition in given.conditions:
            report(given, pool, items, (condition, budget, epochs, rate))


def report(
    given: argparse.Namespace,
    pool: Sequence[PlantableRow],
    items: Sequence[suite.Row],
    setting: tuple[str, int, int, float],
) -> None:
    """One line of the table. Times are CPU seconds of this process, so a busy machine matters less."""
    condition, budget, epochs, rate = setting
    found: list[tuple[float, float, float, float]] = []
    for seed in given.seeds[: 1 if condition == "all" else None]:
        rows = drawn(pool, condition, budget, seed)
        started = time.process_time()
        model = fine_tune(given.model, rows, seed=seed, num_epochs=epochs, rate=rate)
        trained = time.process_time()
        right, likelihood, by_family = measure(model, given.model, items)
        found.append((right, likelihood, trained - started, time.process_time() - trained))
        if given.families:
            print({family: round(share, 2) for family, share in by_family.items()}, file=sys.stderr)
    right, likelihood, training, evaluation = (statistics.mean(column) for column in zip(*found, strict=True))
    spread = statistics.stdev([one[0] for one in found]) if len(found) > 1 else 0.0
    print(
        f"| {condition} | {len(rows)} | {epochs} | {rate:g} | {right:.3f} | {spread:.3f} "
        f"| {likelihood:.3f} | {training:.1f} | {evaluation:.1f} |", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
