"""IFD of a thousand rows: the forward engine against a plain loop that takes one row at a time.

    OMP_NUM_THREADS=2 python benchmarks/ifd_speed.py --pool POOL.jsonl.gz --lm MODEL --rows 1000 --repeats 3

Both sides compute the ratio of perplexities of Superfiltering (bare text, own token counts) in float32 with
the same weights, in turn, after a warm-up. The loop is what the method's published code does: tokenise a
row, run the model with labels, take `exp(loss)`, twice. It runs as torch sets it up (all threads inside each
operation) and held to one thread, which is better where other work runs at the same time. The scores must
agree within 1e-4. On a busy machine CPU seconds tell more than wall seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sftbench import LanguageModel, Pool
from sftbench.pools import read_pool
from sftbench_plugins.ifd.official import SUPER, measure


class Silent:
    """A progress that nobody watches."""

    def advance(self, amount: int = 1) -> None: ...


def by_engine(pool: Pool, model: LanguageModel) -> np.ndarray[Any, np.dtype[np.float64]]:
    """IFD [n] as the plugin `ifd` computes it."""
    losses = measure(pool, model, SUPER, Silent())
    return np.exp(losses.conditional - losses.unconditional)


@torch.inference_mode()
def by_loop(pool: Pool, model: Any, tokenizer: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """IFD [n], one row and one forward pass at a time."""
    found = []
    for row in pool:
        prompt = row.prompt + "\n"
        given = tokenizer(prompt + row.response, return_tensors="pt", truncation=True, max_length=1024).input_ids
        num_prompt = len(tokenizer(prompt).input_ids)
        room = max(1, 1024 - num_prompt + 1)
        alone = tokenizer(row.response, return_tensors="pt", truncation=True, max_length=room).input_ids
        labels = given.clone()
        labels[:, :num_prompt] = -100
        losses = [float(model(ids, labels=wanted).loss) for ids, wanted in ((given, labels), (alone, alone))]
        found.append(np.exp(losses[0] - losses[1]))
    return np.array(found)


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Torch with so many threads inside an operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--lm", required=True)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    engine = LanguageModel.load(options.lm, dtype="float32", device="cpu")
    model = AutoModelForCausalLM.from_pretrained(options.lm, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.lm)
    with tempfile.TemporaryDirectory() as folder:
        warm = read_pool(options.pool, limit=30, into=Path(folder) / "warm.arrow")
        pool = read_pool(options.pool, limit=options.rows, into=Path(folder) / "pool.arrow")
        by_engine(warm, engine)
        by_loop(warm, model, tokenizer)
        sides: dict[str, tuple[int, Callable[[], Any]]] = {
            "engine": (torch.get_num_threads(), lambda: by_engine(pool, engine)),
            "loop": (torch.get_num_threads(), lambda: by_loop(pool, model, tokenizer)),
            "loop, one thread": (1, lambda: by_loop(pool, model, tokenizer)),
        }
        print(f"{len(pool)} rows, {torch.get_num_threads()} threads, medians of {options.repeats}")
        report(sides, len(pool), options.repeats)


def report(sides: dict[str, tuple[int, Callable[[], Any]]], num_rows: int, repeats: int) -> None:
    """Measure the sides in turn, check that they agree, and print what each took."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeats):
        scores: list[Any] = []
        for name, (threads, work) in sides.items():
            with limited(threads):
                wall, cpu, found = timed(work)
            spent[name].append((wall, cpu))
            scores.append(found)
        for other in scores[1:]:
            np.testing.assert_allclose(scores[0], other, rtol=1e-4)
    for name, seconds in spent.items():
        wall, cpu = (statistics.median(each[at] for each in seconds) for at in (0, 1))
        ratios = [
            statistics.median(mine[at] / engine[at] for mine, engine in zip(seconds, spent["engine"], strict=True))
            for at in (0, 1)
        ]
        print(
            f"{name:17} {wall:7.1f} s wall, {cpu:7.1f} s CPU, {num_rows / wall:6.1f} rows/s; "
            f"the engine is {ratios[0]:.2f} times as fast in wall time, {ratios[1]:.2f} in CPU time"
        )


if __name__ == "__main__":
    main()
