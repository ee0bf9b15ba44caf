"""ZIP with copied compressors against compressing every text from its beginning.

    OMP_NUM_THREADS=1 python benchmarks/zip_speed.py --pool POOL.jsonl.gz

Three parts, each with both sides in one process, in CPU seconds, and with the same rows chosen where both sides
choose:

1. `--small-rows` rows to `--small-budget`, k1 = 500, k2 = 100, k3 = 50: both sides whole, `paper` and `official`.
2. `--rows` rows to `--budget` with the default sizes: the plugin whole, `paper` and `official`.
3. The plain side of 2, mode `paper`: in each round every `--every`-th of the texts that the plain side would
   compress, spread evenly, is compressed from its beginning and its ratio compared; the seconds are multiplied by
   how many there are. This figure is an estimate and is printed as one, with the number of texts it comes from.

The pool is repeated with other ids and a number in front of each response when it has fewer rows than asked for.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sftbench import Allowance, Message, Pool, Row
from sftbench.pools import pool_of, read_pool
from sftbench_plugins.compression import rounds
from sftbench_plugins.compression.packing import LEVEL, GrowingText, Listing
from sftbench_plugins.compression.selector import Zip

DESK: Any = SimpleNamespace(progress=lambda total, unit: nullcontext(SimpleNamespace(advance=lambda amount=1: None)))


class FromTheBeginning(GrowingText):
    """The plain side: every text is compressed whole, each time."""

    def __init__(self, listing: Listing) -> None:
        super().__init__(listing)
        self._before = listing.opening

    def add(self, text: bytes) -> None:
        self._before += text + self._listing.separator

    def sizes_with(self, text: bytes) -> tuple[int, int]:
        whole = self._before + text + self._listing.closing
        return len(whole), len(zlib.compress(whole, LEVEL))


class Sampled(GrowingText):
    """The plugin's side, with every so many texts compressed from their beginning as well, and timed."""

    every = 1
    num_texts = 0
    num_sampled = 0
    seconds = 0.0

    def __init__(self, listing: Listing) -> None:
        super().__init__(listing)
        self._plain = FromTheBeginning(listing)

    def add(self, text: bytes) -> None:
        super().add(text)
        self._plain.add(text)

    def sizes_with(self, text: bytes) -> tuple[int, int]:
        found = super().sizes_with(text)
        Sampled.num_texts += 1
        if Sampled.num_texts % Sampled.every == 0:
            started = time.process_time()
            plain = self._plain.sizes_with(text)
            Sampled.seconds += time.process_time() - started
            Sampled.num_sampled += 1
            assert plain == found
        return found


def chosen(pool: Pool, part: Zip, budget: int, text: type[GrowingText] = GrowingText) -> tuple[Sequence[str], float]:
    """The rows and the CPU seconds; `text` takes the place of the plugin's growing text."""
    before = rounds.GrowingText
    rounds.GrowingText = text  # type: ignore[misc]
    try:
        started = time.process_time()
        allowance = Allowance(cap=float(budget), row_costs=np.ones(len(pool)), unit="rows")
        return part.select(pool, None, allowance, DESK).ids, time.process_time() - started
    finally:
        rounds.GrowingText = before  # type: ignore[misc]


def repeated(pool: Pool, count: int) -> Iterator[Row]:
    """So many rows: those of the pool, and again with a number in front of the response."""
    number = 0
    while True:
        for row in pool:
            if number == count:
                return
            turns = row.messages
            if number >= len(pool):
                turns = (*turns[:-1], Message(role="assistant", content=f"{number} {turns[-1].content}"))
            yield Row(id=f"row-{number}", messages=turns, raw=row.raw)
            number += 1


def report(title: str, seconds: dict[str, float]) -> None:
    print(title, *(f"{name} {value:.1f} s" for name, value in seconds.items()), sep="; ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", required=True)
    for name, value in (
        ("rows", 20_000),
        ("budget", 1000),
        ("small-rows", 2000),
        ("small-budget", 150),
        ("every", 400),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    rounds.torch_smallest(np.zeros(1), 1)  # torch is imported before anything is timed
    print(f"zlib {zlib.ZLIB_RUNTIME_VERSION}; CPU seconds")
    with tempfile.TemporaryDirectory() as folder:
        whole = read_pool(asked.pool, limit=asked.rows, into=Path(folder) / "read.arrow")
        pool = pool_of(repeated(whole, asked.rows), into=Path(folder) / "pool.arrow", key="pool", form=whole.form)
        small = read_pool(asked.pool, limit=asked.small_rows, into=Path(folder) / "small.arrow")
        for mode in ("paper", "official"):
            part = Zip(mode=mode, k1=500, k2=100, k3=50)  # type: ignore[arg-type]
            ours, quick = chosen(small, part, asked.small_budget)
            plain, slow = chosen(small, part, asked.small_budget, FromTheBeginning)
            assert ours == plain
            report(
                f"{len(small)} rows to {asked.small_budget}, {mode}, k1=500 k2=100 k3=50, same rows",
                {"plugin": quick, "plain, all of it": slow},
            )
            print(f"  {slow / quick:.1f} times as fast")
        seconds: dict[str, float] = {}
        rows: dict[str, Sequence[str]] = {}
        work: dict[str, Callable[[], tuple[Sequence[str], float]]] = {
            mode: lambda mode=mode: chosen(pool, Zip(mode=mode), asked.budget)  # type: ignore[misc]
            for mode in ("paper", "official")
        }
        for mode, run in work.items():
            rows[mode], seconds[mode] = run()
        report(f"{len(pool)} rows to {asked.budget}, default sizes, plugin", seconds)
        Sampled.every = asked.every
        again, _ = chosen(pool, Zip(), asked.budget, Sampled)
        assert again == rows["paper"]
        plain_seconds = Sampled.seconds / Sampled.num_sampled * Sampled.num_texts
        print(
            f"  plain side, mode paper: {Sampled.num_sampled} of {Sampled.num_texts} texts compressed from their "
            f"beginning in {Sampled.seconds:.1f} s, all with the same size; estimated for all {plain_seconds:.0f} s: "
            f"{plain_seconds / seconds['paper']:.1f} times as long"
        )


if __name__ == "__main__":
    main()
