"""Self-BLEU over many responses: ours over all of them, and the plain way on a sample, where both must agree.

    OMP_NUM_THREADS=1 python benchmarks/self_bleu_speed.py                       10,000 responses of 200 tokens
    OMP_NUM_THREADS=1 python benchmarks/self_bleu_speed.py --rows 100000 --sample 200

The corpus is synthetic: token ids Zipf-Mandelbrot with exponent 1.35 over 32,000 types, one third of the tokens copied
from at most 50 positions back, every response of exactly the same length. The plain way counts n-grams in dictionaries
and holds each sampled response against every other response of the whole corpus. Counting is done for all; the time of
holding all responses against all is that of the sample times rows over sample, since each response costs the same.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections import Counter

import numpy as np
import numpy.typing as npt

from sftbench import Ragged
from sftbench.diversity.self_bleu import EPSILON, MAX_N, bleu

VOCABULARY = 32_000
Tokens = npt.NDArray[np.int32]


def synthetic(num_rows: int, length: int, seed: int) -> Tokens:
    """Token ids [num_rows, length]."""
    draw = np.random.default_rng(seed)
    weights = 1 / (np.arange(1, VOCABULARY + 1) + 2.7) ** 1.35
    drawn = np.searchsorted(np.cumsum(weights / weights.sum()), draw.random((num_rows, length)))
    fresh = np.minimum(drawn, VOCABULARY - 1)
    place = np.arange(length)
    back = 1 + (draw.random((num_rows, length)) * np.minimum(place, 50)).astype(np.int64)
    copied = (draw.random((num_rows, length)) < 1 / 3) & (place > 0)
    return np.take_along_axis(fresh, place - back * copied, axis=1).astype(np.int32)


Counts = list[list[Counter[tuple[int, ...]]]]


def counts_of(tokens: Tokens) -> Counts:
    """Dictionaries of tuples: for each n, one per row."""
    texts = tokens.tolist()
    orders = range(1, MAX_N + 1)
    return [[Counter(zip(*(text[at:] for at in range(n)), strict=False)) for text in texts] for n in orders]


def plainly(counted: Counts, sample: npt.NDArray[np.int64]) -> list[float]:
    """BLEU-4 of the sampled rows against all others."""
    found = []
    for row in sample:
        logs = 0.0
        for n in range(MAX_N):
            mine, matches = counted[n][row], 0
            most: dict[tuple[int, ...], int] = {}
            for other, theirs in enumerate(counted[n]):
                if other != row:
                    for gram in mine.keys() & theirs.keys():
                        most[gram] = max(most.get(gram, 0), theirs[gram])
            matches = sum(min(count, most.get(gram, 0)) for gram, count in mine.items())
            logs += math.log((matches or EPSILON) / sum(mine.values())) / MAX_N
        found.append(math.exp(logs))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--sample", type=int, default=50, help="responses that the plain way is timed on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tokens = synthetic(options.rows, options.tokens, options.seed)
    corpus = Ragged(values=tokens.ravel(), offsets=np.arange(options.rows + 1, dtype=np.int64) * options.tokens)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    scores = bleu(corpus, np.ones(options.rows, dtype=np.bool_))
    ours = {"wall_seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sample = np.random.default_rng([options.seed, 1]).permutation(options.rows)[: options.sample]
    processor = time.process_time()
    counted = counts_of(tokens)
    counting_seconds = time.process_time() - processor
    wanted = plainly(counted, sample)
    sample_seconds = time.process_time() - processor - counting_seconds
    report = {
        "responses": options.rows,
        "tokens": int(corpus.offsets[-1]),
        "self_bleu": float(scores.mean()),
        "ours": {
            **{name: round(value, 2) for name, value in ours.items()},
            "memory_above_the_corpus_mb": round((peak - before) / 1024, 1),
        },
        "plain": {
            "sampled_responses": len(sample),
            "processor_seconds_for_counting": round(counting_seconds, 2),
            "processor_seconds_for_the_sample": round(sample_seconds, 2),
            "processor_seconds_for_all_by_proportion": round(
                counting_seconds + sample_seconds * options.rows / len(sample)
            ),
        },
        "largest_difference_on_the_sample": float(np.abs(scores[sample] - wanted).max()),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
