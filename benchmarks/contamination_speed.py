"""How long, and how much memory, a look for evaluation items in a large pool takes: rows of a real pool, repeated.

    python benchmarks/contamination_speed.py POOL EVAL [--rows 100000]

Seconds are CPU time of this process; memory is the most it ever held, before and after the look.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from sftbench.contamination.nearest import close_rows
from sftbench.contamination.runs import ItemsWanted
from sftbench.pools import read_items, read_pool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool")
    parser.add_argument("items")
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pool = read_pool(options.pool, into=Path(folder) / "pool.arrow")
        items = read_items(options.items, into=Path(folder) / "items.arrow")
        start, memory = time.process_time(), megabytes()
        wanted = ItemsWanted(items)
        built, num_rows, num_pairs = time.process_time() - start, 0, 0
        start = time.process_time()
        for batch in itertools.chain.from_iterable(pool.batches() for _ in itertools.count()):
            num_pairs += len(wanted.find(batch, first=num_rows).rows)
            num_rows += len(batch)
            if num_rows >= options.rows:
                break
        looked = time.process_time() - start
        print(f"{len(items)} items indexed in {built:.1f} s; {num_rows} rows of {options.pool} in {looked:.1f} s")
        print(f"{num_rows / looked:.0f} rows/s, {num_pairs} pairs; memory {memory} MB before, {megabytes()} MB after")
        vectors = unit(len(items), seed=0)
        blocks = (unit(4096, seed=1) for _ in range(-(-options.rows // 4096)))
        start = time.process_time()
        close_rows(vectors, blocks, threshold=0.85)
        print(f"comparing as many embeddings of 384 numbers, made-up ones: {time.process_time() - start:.1f} s")


def unit(count: int, *, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, 384)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
