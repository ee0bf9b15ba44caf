"""Time and memory of the micro selector: against a plain reading of the algorithm, by size, and on a pool of text.

    python benchmarks/micro_selection.py                    algorithms 1 and 2 on a synthetic corpus
    python benchmarks/micro_selection.py --rows 1000000     the whole selector on a pool of text

The corpus: lengths lognormal(5.8, 0.6) clipped to 20..2048 tokens, token ids Zipf-Mandelbrot with
exponent 1.35 over 32,000, one third of the tokens copied from at most 50 positions back.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from sftbench import Allowance, Message, Row
from sftbench.pools import pool_of
from sftbench_plugins.m2m.lengths import Limits
from sftbench_plugins.m2m.micro import Micro
from sftbench_plugins.m2m.prune import prune
from sftbench_plugins.m2m.series import Series

VOCABULARY = 32_000
PAPER_ROWS = 117_000


def synthetic_tokens(num_rows: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids of all rows, one after the other, and where each row starts [num_rows + 1]."""
    draw = np.random.default_rng(seed)
    weights = 1 / (np.arange(1, VOCABULARY + 1) + 2.7) ** 1.35
    lengths = np.clip(draw.lognormal(5.8, 0.6, num_rows), 20, 2048).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    total = int(starts[-1])
    fresh = np.minimum(np.searchsorted(np.cumsum(weights / weights.sum()), draw.random(total)), VOCABULARY - 1)
    place = np.arange(total) - np.repeat(starts[:-1], lengths)
    back = 1 + (draw.random(total) * np.minimum(place, 50)).astype(np.int64)
    copied = (draw.random(total) < 1 / 3) & (place > 0)
    return fresh[np.arange(total) - back * copied], starts


def synthetic_incidence(num_rows: int, seed: int = 0) -> csr_array:
    """Rows and mid-band types of a synthetic corpus, thresholds scaled by rows, without rows that hold none."""
    tokens, starts = synthetic_tokens(num_rows, seed)
    counts = np.bincount(tokens, minlength=VOCABULARY)
    low = max(2, round(10 * num_rows / PAPER_ROWS))
    mid = (counts >= low) & (counts <= max(low + 1, round(500 * num_rows / PAPER_ROWS)))
    owner = np.repeat(np.arange(num_rows), np.diff(starts))
    pairs = np.unique(owner[mid[tokens]] * VOCABULARY + tokens[mid[tokens]])
    columns = (np.cumsum(mid) - 1)[pairs % VOCABULARY]
    ones = np.ones(len(pairs), dtype=np.int8)
    matrix = csr_array((ones, (pairs // VOCABULARY, columns)), shape=(num_rows, int(mid.sum())))
    return matrix[np.flatnonzero(np.diff(matrix.indptr))]


def ours(matrix: csr_array, num_wanted: int, levels: tuple[float, ...] = (100.0,)) -> dict[str, Any]:
    """Algorithm 1 over all levels, algorithm 2 at the levels asked for."""
    num_rows = matrix.shape[0]
    limits = Limits.of(np.ones(num_rows), num_wanted, np.zeros(num_rows, dtype=np.int64))
    with timed() as pruning:
        pruned = prune(matrix, limits)
    series = Series(matrix=matrix, limits=limits, pruned=pruned, uniformity="rarest", seed=0)
    with timed() as choosing:
        choices = [series.at(level) for level in levels]
    return {
        "prune_seconds": pruning(),
        "choose_seconds": choosing(),
        "k_min": series.fewest,
        "k_max": series.most,
        "types": [choice.num_types for choice in choices],
        "cover_rows": [choice.num_cover for choice in choices],
    }


def plainly(matrix: csr_array, num_wanted: int) -> dict[str, Any]:
    """The same two algorithms as one would first write them: sets, and every key made anew at each step."""
    rows = [set(matrix.indices[start:end].tolist()) for start, end in pairwise(matrix.indptr)]
    with timed() as pruning:
        left = set(range(len(rows)))
        while len(left) > num_wanted:
            holders: dict[int, int] = {}
            for row in left:
                for kind in rows[row]:
                    holders[kind] = holders.get(kind, 0) + 1
            left.remove(max(left, key=lambda row: plain_key(rows[row], holders, row)))
    with timed() as choosing:
        missing, taken = set().union(*rows), []
        while missing and len(taken) < num_wanted:
            best = max(set(range(len(rows))) - set(taken), key=lambda row: len(rows[row] & missing))
            taken.append(best)
            missing -= rows[best]
        counts = {kind: sum(kind in rows[row] for row in taken) for kind in set().union(*rows)}
        while len(taken) < num_wanted:
            row = next(
                row
                for kind in sorted(counts, key=lambda kind: counts[kind])
                for row in set(range(len(rows))) - set(taken)
                if kind in rows[row]
            )
            taken.append(row)
            for kind in rows[row]:
                counts[kind] += 1
    return {
        "prune_seconds": pruning(),
        "choose_seconds": choosing(),
        "k_min": len(set().union(*(rows[row] for row in left))),
        "types": len(set().union(*(rows[row] for row in taken))),
    }


def plain_key(types: set[int], holders: dict[int, int], row: int) -> tuple[int, float, int, int]:
    return (sum(holders[t] == 1 for t in types), sum(1 / holders[t] for t in sorted(types)), len(types), -row)


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Processor seconds spent in the block, so that neighbours on the machine do not count."""
    spent, start = [0.0], time.process_time()
    yield lambda: round(spent[0], 3)
    spent[0] = time.process_time() - start


def on_text(num_rows: int, share: float, level: float) -> dict[str, Any]:
    """The whole selector on a pool of text, as a run calls it: time of each part, and the peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        with timed() as making:
            pool = pool_of(synthetic_rows(num_rows), into=Path(folder) / "pool.arrow", key="synthetic", form="messages")
        desk = SimpleNamespace(
            seed=0,
            scratch=Path(folder),
            tokenizer=lambda name="base": word_tokenizer(),
            response_lengths=lambda: np.full(num_rows, 393, dtype=np.int64),
            progress=lambda total, unit: nullcontext(SimpleNamespace(advance=lambda amount=1: None)),
            log=print,
        )
        before = peak_gigabytes()
        allowance = Allowance(cap=float(int(share * num_rows)), row_costs=np.ones(num_rows), unit="rows")
        with timed() as selecting:
            selection = Micro(level=level).select(pool, None, allowance, desk)  # type: ignore[arg-type]
    return {
        "rows": num_rows,
        "selected": len(selection.ids),
        "pool_seconds": making(),
        "select_seconds": selecting(),
        "peak_gigabytes_before": before,
        "peak_gigabytes": peak_gigabytes(),
        "of_which_pool_mapped": mapped_gigabytes(),
        "report": {
            k: v for k, v in selection.report.items() if k in ("k_min", "k_max", "k_actual", "num_rows", "num_types")
        },
    }


def synthetic_rows(num_rows: int, at_once: int = 2000) -> Iterator[Row]:
    """Rows whose responses are numbers as words."""
    words = np.array([f"w{number}" for number in range(VOCABULARY)], dtype=object)
    for first in range(0, num_rows, at_once):
        tokens, starts = synthetic_tokens(min(at_once, num_rows - first), seed=first)
        for offset, (start, end) in enumerate(pairwise(starts)):
            response = " ".join(words[tokens[start:end]])
            messages = (Message(role="user", content="write"), Message(role="assistant", content=response))
            yield Row(id=f"row-{first + offset}", messages=messages)


def word_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, **{f"w{number}": number + 1 for number in range(VOCABULARY)}}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


def peak_gigabytes() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def mapped_gigabytes() -> float:
    """Pages of mapped files (the pool) that count as memory of the process and can be dropped at any time."""
    status = Path("/proc/self/status").read_text().split()
    return round(int(status[status.index("RssFile:") + 1]) / 2**20, 2)


def show(title: str, figures: dict[str, Any]) -> None:
    print(f"{title}: {json.dumps(figures)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="run the whole selector on a pool of so many rows of text")
    parser.add_argument("--share", type=float, default=0.1, help="share of the pool to select (with --rows)")
    parser.add_argument("--level", type=float, default=100.0, help="level to select (with --rows)")
    asked = parser.parse_args()
    if asked.rows:
        show("pool of text", on_text(asked.rows, asked.share, asked.level))
        return
    small = synthetic_incidence(1500)
    show("1,500 rows to 400, plain", plainly(small, 400))
    show("1,500 rows to 400, ours", ours(small, 400))
    seconds, entries = [], []
    for num_rows in (29_250, 58_500, 117_000, 234_000):
        matrix = synthetic_incidence(num_rows)
        figures = ours(matrix, round(num_rows * 10 / 117))
        show(f"{num_rows:,} rows to {round(num_rows * 10 / 117):,}, {matrix.nnz:,} entries", figures)
        seconds.append(figures["prune_seconds"] + figures["choose_seconds"])
        entries.append(matrix.nnz)
    slope = np.polyfit(np.log(entries), np.log(seconds), 1)[0]
    print(f"seconds grow as entries to the power {slope:.2f}; peak {peak_gigabytes()} GB (corpus included)")
    matrix = synthetic_incidence(PAPER_ROWS)
    for num_wanted in (1_000, 10_000, 30_000):
        show(f"117,000 rows to {num_wanted:,}, three levels", ours(matrix, num_wanted, (0.0, 50.0, 100.0)))


if __name__ == "__main__":
    main()
