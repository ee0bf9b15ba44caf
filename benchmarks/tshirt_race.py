"""What the race of T-SHIRT saves and what it changes, beside the exact form with all noisy copies of all rows.

Run: OMP_NUM_THREADS=2 python benchmarks/tshirt_race.py [--rows 1000] [--budget 0.05] [--seeds 3] [--tolerance T]

Every seed is done by both sides in one process, by turns, on the same rows with the same model in float32; the clean
passes that both read are made anew and counted on both sides. Printed are medians over the seeds of FLOPs (counted by
the engine), wall and CPU seconds, and how much of the choice is the same: race and exact form with one seed, and two
exact forms with different seeds, which differ by the noise alone; what the race says of both itself, before any exact
form is run, stands beside.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.utils.logging import disable_progress_bar

from sftbench import Allowance, LanguageModel, Nll, Passage, PassRequest, PassResult, Pool, Ragged, Selection
from sftbench.pools.read import read_pool
from sftbench_plugins.tshirt import Hierarchical, TShirt
from sftbench_plugins.tshirt.racing import Racing

REFERENCE = Path(os.environ.get("SFTBENCH_REFERENCE_DATA") or Path(__file__).resolve().parent.parent / ".." / "shared")


@dataclass
class Desk:
    """What both sides ask of a desk; the shared clean passes are made when asked for, once for each desk."""

    model: LanguageModel
    pool: Pool
    scratch: Path
    seed: int
    made: dict[PassRequest, PassResult] = field(default_factory=dict)

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        return self.model

    def passed(self, request: PassRequest) -> PassResult:
        if request not in self.made:
            encoded = list(self.model.encode(self.pool, template="bare"))
            alone, bos = request.view == "response_only", self.model.bos_token_id
            passages = [
                Passage.response_only(each, bos_token_id=bos) if alone else Passage.conditional(each)
                for each in encoded
            ]
            found = [each["nll"] for each in self.model.run(passages, statistics=[Nll()])]
            reasons = {at: each.reason for at, each in enumerate(encoded) if each.reason}
            self.made[request] = PassResult(values=Ragged.of(found), reasons=reasons, notes={})
        return self.made[request]

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Any]:
        yield self

    def advance(self, amount: int = 1) -> None:
        """Nobody watches."""

    def log(self, message: str) -> None:
        """Nobody reads."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One side at one seed: what it chose, and what that took."""

    selection: Selection
    flops: float
    wall_seconds: float
    cpu_seconds: float


def choose(race: Racing | None, model: LanguageModel, pool: Pool, allowance: Allowance, seed: int) -> Run:
    spent = {"flops": 0.0}

    def meter(**amounts: float) -> None:
        spent["flops"] += amounts.get("flops", 0.0)

    model.meter = meter
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        desk: Any = Desk(model, pool, Path(folder), seed)
        if race is not None:
            selection = race.select(pool, None, allowance, desk)
        else:
            selection = Hierarchical().select(pool, TShirt().score(pool, desk), allowance, desk)
    return Run(
        selection=selection,
        flops=spent["flops"],
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
    )


def shared(one: Run, other: Run) -> float:
    """The part of the choice that two runs have in common."""
    mine, yours = set(one.selection.ids), set(other.selection.ids)
    return len(mine & yours) / max(len(mine), len(yours))


def tell(exact: list[Run], race: list[Run]) -> None:
    for name in ("flops", "wall_seconds", "cpu_seconds"):
        here, there = (statistics.median(getattr(run, name) for run in runs) for runs in (exact, race))
        ratio = statistics.median(getattr(a, name) / getattr(b, name) for a, b in zip(exact, race, strict=True))
        print(f"{name:13s} exact {here:11.4g}   race {there:11.4g}   {ratio:.2f}x less")
    print(percentages("race and exact, same seed:   ", [shared(a, b) for a, b in zip(exact, race, strict=True)]))
    print(percentages("exact and exact, other seed: ", [shared(a, b) for a, b in combinations(exact, 2)]))
    for what, name in (
        ("first, as the race expects:  ", "expected_agreement"),
        ("second, as the race expects: ", "expected_agreement_of_another_seed"),
        ("share of the noisy copies:   ", "share_of_copies"),
    ):
        print(percentages(what, [float(run.selection.report[name]) for run in race]))  # type: ignore[arg-type]


def percentages(what: str, values: list[float]) -> str:
    if not values:
        return f"{what} needs more than one seed"
    return f"{what} median {statistics.median(values):.1%}  ({', '.join(f'{value:.1%}' for value in values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--budget", type=float, default=0.05, help="share of the rows to choose")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tolerance", type=float, default=Racing().tolerance)
    parser.add_argument("--model", type=Path, default=REFERENCE / "models" / "tiny-gpt2")
    parser.add_argument("--pool", type=Path, default=REFERENCE / "data" / "pools" / "alpaca_subset.jsonl.gz")
    options = parser.parse_args()
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        pool = read_pool(options.pool, limit=options.rows, into=Path(folder) / "pool.arrow")
        model = LanguageModel.load(options.model, dtype="float32", device="cpu")
        count = len(pool)
        allowance = Allowance(cap=float(int(options.budget * count)), row_costs=np.ones(count), unit="rows")
        print(f"{count} rows, {int(allowance.cap)} to choose, {torch.get_num_threads()} threads", flush=True)
        exact, race = [], []
        for seed in range(options.seeds):
            race.append(choose(Racing(tolerance=options.tolerance), model, pool, allowance, seed))
            print(f"seed {seed}: race {race[-1].flops:.4g} FLOPs, {race[-1].cpu_seconds:.1f} CPU s", flush=True)
            exact.append(choose(None, model, pool, allowance, seed))
            print(f"seed {seed}: exact {exact[-1].flops:.4g} FLOPs, {exact[-1].cpu_seconds:.1f} CPU s", flush=True)
        tell(exact, race)


if __name__ == "__main__":
    main()
