"""How fast answers are written by a process of a run and by vLLM, and on how many rows they are the same.

Both sides write greedy answers to the same rows with the same model in float32, in one run, in turn (B A B A), after a
round that nobody counts. Processor seconds are those of this process, and of all that it has started, the server's.

    python benchmarks/answer_throughput.py --model ../shared/models/tiny-gpt2 --pool ../shared/data/pools/....jsonl
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from sftbench.engines.completing import ServedWriter
from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import Continuation, answer_rows
from sftbench.ledger import Meter
from sftbench.pools import read_pool
from sftbench.rooms import Row
from sftbench.serving.service import serving
from sftbench.survey import asked_facts


def processor_seconds() -> float:
    """Of this process and of all that descend from it."""
    parents, spent = {}, {}
    for entry in os.listdir("/proc"):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split() if entry.isdigit() else []
        except OSError:
            continue
        if fields:
            parents[int(entry)] = int(fields[1])
            spent[int(entry)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(spent[pid] for pid in mine)


def measured(write: Callable[[], list[Continuation]], meter: Meter) -> tuple[float, float, float, list[Continuation]]:
    """Seconds, processor seconds, tokens written, and the answers."""
    before, begun, spent = meter.ledger().tokens_generated, time.perf_counter(), processor_seconds()
    answers = write()
    seconds, spent = time.perf_counter() - begun, processor_seconds() - spent
    return seconds, spent, meter.ledger().tokens_generated - before, answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--num-rows", type=int, default=300)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    options = parser.parse_args()
    asked = asked_facts(f"vllm:{options.model}[dtype=float32]")
    with (
        tempfile.TemporaryDirectory() as root,
        serving(
            asked.where, asked.identity, tell=lambda text: print(text, file=sys.stderr), logs=Path(root)
        ) as service,
    ):
        rows: list[Row] = list(read_pool(options.pool, limit=options.num_rows, into=Path(root) / "rows.arrow"))
        here, there = Meter(), Meter()
        model = LanguageModel.load(options.model, dtype="float32", meter=here)
        writer = ServedWriter(service=service, model=LanguageModel.without_weights(options.model, meter=there))
        service.reach()
        limit = options.max_new_tokens
        sides = {
            "process": lambda: measured(lambda: answer_rows(model, rows, max_new_tokens=limit), here),
            "vllm": lambda: measured(lambda: writer.answer_rows(rows, max_new_tokens=limit), there),
        }
        found: dict[str, list[tuple[float, float, float, list[Continuation]]]] = {side: [] for side in sides}
        for turn in range(3):
            for side in ("vllm", "process"):
                result = sides[side]()
                print(f"{side}: {result[0]:.2f} s, {result[1]:.2f} s of processor, {result[2]:.0f} tokens", flush=True)
                # The first round warms both up.
                found[side] += [result] if turn else []
    pairs = zip(found["process"][-1][3], found["vllm"][-1][3], strict=True)
    same = sum(one == other for one, other in pairs)
    print(f"{same} of {len(rows)} answers are the same")
    for what, at in (("seconds", 0), ("processor seconds", 1)):
        ratio = mean(each[at] for each in found["vllm"]) / mean(each[at] for each in found["process"])
        print(f"{what}: vllm takes {ratio:.2f} times those of a process")


if __name__ == "__main__":
    main()
