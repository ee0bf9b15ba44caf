"""What exact T-SHIRT scoring costs beside a plain loop that does as the authors' code does: time, memory, profile.

Run: OMP_NUM_THREADS=2 python benchmarks/tshirt_speed.py [--rows 24] [--repeats 3] [--model DIR] [--pool FILE]

Both sides score the same rows with the same model in float32, with 30 noisy copies used, by turns in one process.
`plain loop` takes one row at a time: 32 copies (one clean, 31 noisy of which one is thrown away), every position
through the output head, differences in Python lists, `numpy.percentile` at the end. `official` is the scorer that
gives the same numbers; `paper` is the scorer's default, its shared clean pass included. The loop uses the model as
`transformers` loads it.
Memory is the growth of the peak resident size of a fresh process while it scores, with a very small model so that
two sizes of pool take seconds. Profile: shares of the CPU time of `official`, by operator.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

from sftbench import LanguageModel, Nll, Passage, PassRequest, PassResult, Pool, Ragged
from sftbench.pools.read import read_pool
from sftbench_plugins.tshirt import TShirt

REFERENCE = Path(os.environ.get("SFTBENCH_REFERENCE_DATA") or Path(__file__).resolve().parent.parent / ".." / "shared")
NUM_DRAWS, ALPHA, WINDOW = 31, 5.0, 1024


@dataclass
class Desk:
    """What the scorer asks of a desk; the shared clean passes are made when asked for."""

    model: LanguageModel
    pool: Pool
    scratch: Path
    seed: int = 42

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        return self.model

    def passed(self, request: PassRequest) -> PassResult:
        encoded = list(self.model.encode(self.pool, template="bare"))
        reasons = {at: each.reason for at, each in enumerate(encoded) if each.reason}
        alone = request.view == "response_only"
        passages = [
            Passage.response_only(each, bos_token_id=None) if alone else Passage.conditional(each) for each in encoded
        ]
        found = [each["nll"] for each in self.model.run(passages, statistics=[Nll()])]
        return PassResult(values=Ragged.of(found), reasons=reasons, notes={})

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Any]:
        yield self

    def advance(self, amount: int = 1) -> None:
        """Nobody watches."""

    def log(self, message: str) -> None:
        """Nobody reads."""


@torch.no_grad()
def plain_loop(model: Any, tokenizer: Any, pool: Pool, keep: float = 0.5) -> np.ndarray:
    """Mean S-IFD per row, NaN for responses of one token."""
    generator = torch.Generator().manual_seed(42)
    deltas: list[list[list[float]]] = []
    for row in pool:
        prompt = len(tokenizer(row.prompt + "\n")["input_ids"])
        whole = tokenizer(row.prompt + "\n" + row.response, truncation=True, max_length=WINDOW, return_tensors="pt")
        alone = tokenizer(row.response, truncation=True, max_length=WINDOW - prompt, return_tensors="pt")["input_ids"]
        embeddings = model.get_input_embeddings()(whole["input_ids"])
        noise = torch.empty((NUM_DRAWS, *embeddings.shape[1:])).uniform_(-1, 1, generator=generator)
        noise = torch.cat([torch.zeros_like(noise[:1]), noise]) * (ALPHA / embeddings[0].numel() ** 0.5)
        given = losses(model, embeddings + noise, whole["input_ids"], start=prompt - 1)
        unaided = losses(model, model.get_input_embeddings()(alone) + noise[:, prompt:], alone, start=0)
        deltas.append((given[:, 1:] - unaided)[1:-1].tolist())
    pooled = [abs(value) for copies in deltas for copy in copies for value in copy]
    tau = np.percentile(pooled, 100 * (1 - keep))
    found = np.full(len(deltas), np.nan)
    for at, copies in enumerate(deltas):
        if copies[0]:
            kept = [[value for value in copy if abs(value) > tau] for copy in copies]
            found[at] = np.mean([np.exp(sum(copy) / max(1, len(copy))) for copy in kept])
    return found


def losses(model: Any, embeddings: torch.Tensor, ids: torch.Tensor, *, start: int) -> torch.Tensor:
    """Losses [32, L - 1 - start] of the tokens after position `start`."""
    logits = model(inputs_embeds=embeddings).logits[:, start:-1]
    targets = ids[:, start + 1 :].expand(len(logits), -1)
    flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return flat.view(targets.shape)


def ours(model: LanguageModel, pool: Pool, **parameters: Any) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        return TShirt(dtype="float32", **parameters).score(pool, Desk(model, pool, Path(folder))).values


def sides(model_path: Path, pool: Pool, *, tiny: bool = False) -> dict[str, Callable[[], np.ndarray]]:
    tokenizer: Any = AutoTokenizer.from_pretrained(model_path)
    if tiny:
        torch.manual_seed(0)
        bare: Any = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1)).eval()
        model = LanguageModel(bare, tokenizer)
    else:
        bare = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
        model = LanguageModel.load(model_path, dtype="float32", device="cpu")
    return {
        "plain loop": lambda: plain_loop(bare, tokenizer, pool),
        "official": lambda: ours(model, pool, mode="official"),
        "paper": lambda: ours(model, pool),
    }


def compare_time(model_path: Path, pool: Pool, *, repeats: int) -> None:
    """Medians of wall and CPU seconds over the repeats; the sides take turns so that all meet the same weather."""
    runs = sides(model_path, pool)
    agree = np.nanmax(np.abs(runs["plain loop"]() - runs["official"]()))
    runs["paper"]()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            wall, work = time.perf_counter(), time.process_time()
            run()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - work))
    print(f"{len(pool)} rows, {torch.get_num_threads()} threads; largest difference of a score: {agree:.1e}")
    loop = seconds["plain loop"]
    for name, taken in seconds.items():
        wall, work = (statistics.median(each[which] for each in taken) for which in (0, 1))
        ratios = (statistics.median(a[which] / b[which] for a, b in zip(loop, taken, strict=True)) for which in (0, 1))
        faster = "{:.2f}x by the clock, {:.2f}x in CPU time".format(*ratios)
        print(f"{name:10s} {wall:7.2f} s wall {work:7.2f} s CPU   {faster}")


def compare_memory(options: argparse.Namespace) -> None:
    for name in ("plain loop", "official", "paper"):
        grown = [measure_apart(options, name, rows) for rows in options.memory_rows]
        print(
            f"{name:10s} peak memory grows by "
            + ", ".join(
                f"{size / 2**20:.0f} MiB for {rows} rows" for rows, size in zip(options.memory_rows, grown, strict=True)
            )
        )


def measure_apart(options: argparse.Namespace, name: str, rows: int) -> int:
    command = [sys.executable, __file__, "--model", str(options.model), "--pool", str(options.pool)]
    result = subprocess.run(
        [*command, "--rows", str(rows), "--memory-of", name], check=True, capture_output=True, text=True
    )
    return int(json.loads(result.stdout.splitlines()[-1]))


def memory_of(name: str, model_path: Path, pool: Pool) -> int:
    """Bytes by which the peak resident size grew, after a first small run has loaded what is loaded once."""
    from dataclasses import replace

    few = replace(pool, dataset=pool.dataset.select(range(8)))
    sides(model_path, few, tiny=True)[name]()
    before = peak_bytes()
    sides(model_path, pool, tiny=True)[name]()
    return peak_bytes() - before


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def profile(model_path: Path, pool: Pool) -> None:
    """What bounds the official side."""
    run = sides(model_path, pool)["official"]
    vocab_size = AutoModelForCausalLM.from_pretrained(model_path).config.vocab_size
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as recorded:
        run()
    shares: Counter[str] = Counter()
    for event in recorded.key_averages(group_by_input_shape=True):
        shares[kind_of(event.key, event.input_shapes, vocab_size)] += event.self_cpu_time_total
    whole = sum(shares.values())
    print("CPU time by operator: " + ", ".join(f"{kind} {share / whole:.0%}" for kind, share in shares.most_common()))


def kind_of(operator: str, shapes: list[list[int]], vocab_size: int) -> str:
    if operator in ("aten::mm", "aten::addmm"):
        return "output head (matmul)" if any(vocab_size in each for each in shapes) else "transformer (matmul)"
    if any(word in operator for word in ("sub", "exp_", "amax", "logsumexp", "aten::sum", "log_")):
        return "log-sum-exp"
    if "attention" in operator:
        return "attention"
    return "noise" if "uniform" in operator else "activation" if "gelu" in operator else "everything else"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path, default=REFERENCE / "models" / "tiny-gpt2")
    parser.add_argument("--pool", type=Path, default=REFERENCE / "data" / "pools" / "alpaca_subset.jsonl.gz")
    parser.add_argument("--memory-rows", type=int, nargs="*", default=[100, 400])
    parser.add_argument("--memory-of", choices=["plain loop", "official", "paper"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        pool = read_pool(options.pool, limit=options.rows, into=Path(folder) / "pool.arrow")
        if options.memory_of:
            print(json.dumps(memory_of(options.memory_of, options.model, pool)))
            return
        compare_time(options.model, pool, repeats=options.repeats)
        profile(options.model, pool)
    if options.memory_rows:
        compare_memory(options)


if __name__ == "__main__":
    main()
