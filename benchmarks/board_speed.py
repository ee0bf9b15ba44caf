"""How long and how much memory a large board takes: 50 methods x 5 seeds x 1,000 items, 2,000 resamples.

Run: python benchmarks/board_speed.py [--methods 50] [--seeds 5] [--items 1000] [--resamples 2000]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.board.build import build_board
from sftbench.board.reading import read_cells
from sftbench.board.render import write_board


def cell(method: int, seed: int, num_items: int) -> dict[str, Any]:
    """A finished cell with exact match, NLL and verdicts."""
    rng = np.random.default_rng([method, seed])
    difficulty = np.random.default_rng(0).uniform(0, 1, num_items)
    right = (difficulty + rng.normal(0, 0.1, num_items) < 0.3 + 0.3 * method / 50).astype(float)
    ids = [f"item-{index}" for index in range(num_items)]
    name = f"method-{method}" if method else "random"
    spent = dict.fromkeys(("tokens_forward", "tokens_backward", "tokens_generated", "flops"), 1e6)
    measured = dict.fromkeys(("wall_seconds", "device_seconds", "peak_memory_bytes"), 1.0)
    exact = {"exact-match": right.tolist()}
    nll = {"nll": rng.normal(2, 1, num_items).tolist()}
    return {
        "schema": 1, "method": name, "label": name, "kind": "method", "matched_to": None,
        "budget": "10%", "seed": seed, "base": {"name": "base", "fingerprint": "f"},
        "pool": {"name": "pool", "key": "k", "num_rows": 50000, "num_planted": 5000, "num_planted_tokens": 500000,
                 "num_response_tokens": 5000000},
        "fidelity": "reconstruction", "status": "done", "failure": None,
        "selection": {"num_rows": 5000, "num_response_tokens": 500000, "num_planted_rows": 400,
                      "num_planted_tokens": 40000, "status": "full", "key": "s", "ids_hash": "h", "trained_share": 1.0},
        "evaluations": {
            "exact-match": {"ids": ids, "items": exact, "bigger_is_better": {"exact-match": True}},
            "nll": {"ids": ids, "items": nll, "bigger_is_better": {"nll": False}},
        },
        "verdicts": {"baseline": "random", "judge": "checker", "ids": ids, "preference": (0.5 * right + 0.25).tolist()},
        "cost": {phase: {**spent, **measured} for phase in ("selecting", "training", "evaluating")},
        "steps": [],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("methods", 50), ("seeds", 5), ("items", 1000), ("resamples", 2000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        for method in range(options.methods):
            for seed in range(options.seeds):
                path = results / f"method-{method}" / "10pct" / f"seed-{seed}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(cell(method, seed, options.items)))
        started = time.perf_counter()
        read_cells(results)
        read = time.perf_counter()
        before = time.process_time()
        board = build_board(results, num_resamples=options.resamples)
        built = time.perf_counter()
        processor = time.process_time() - before
        write_board(board, Path(folder) / "board")
        written = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"read alone    {read - started:6.2f} s")
    print(f"read + build  {built - read:6.2f} s   (three metrics with intervals, all pairs on one)")
    print(f"  of a processor {processor:4.2f} s")
    print(f"write         {written - built:6.2f} s")
    print(f"peak memory   {peak / 1e6:6.0f} MB")


if __name__ == "__main__":
    main()
