"""K-center greedy and facility location on many rows: seconds, peak memory, and the plain way on a smaller pool.

    OMP_NUM_THREADS=2 python benchmarks/geometry_speed.py [--rows 100000] [--share 0.05] [--embeddings FILE.npy]

First the plugin alone on `--rows` rows to `--share` of them; the peak of memory is of the whole process. Then both
ways on `--small-rows` rows, and whether they choose the same: the plain k-center takes distances to one row at a
time; the plain facility location keeps all distances [n, n] and makes every gain anew at every step. Wall and CPU
seconds.

Embeddings are made up unless a file [n, d] is given (its rows are repeated with a little noise if there are too few):
topics and subtopics of very different sizes, with nearest-neighbour cosines like those of all-MiniLM-L6-v2 on
instruction pools (the quantiles are printed).
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterable
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.geometry.centres import Farthest
from sftbench_plugins.geometry.coverage import Coverage, lazy_greedy
from sftbench_plugins.geometry.neighbors import NearCoverage

Vectors = npt.NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made_up(count: int, width: int = 384, seed: int = 0) -> Vectors:
    """Unit vectors with topics, subtopics and a direction that all have in common."""
    draw = np.random.default_rng(seed)
    spectrum = (1 / np.sqrt(np.arange(width) + 10)).astype(np.float32)

    def directions(number: int) -> Vectors:
        return unit(draw.normal(size=(number, width)).astype(np.float32) * spectrum)

    num_sub = max(100, count // 40)
    parents = draw.integers(0, 50, num_sub)
    chances = 1 / np.arange(1, num_sub + 1) ** 0.7
    sub = draw.choice(num_sub, count, p=chances / chances.sum())
    own = draw.uniform(0.3, 0.9, (count, 1)).astype(np.float32)
    topics, subtopics = directions(50), directions(num_sub)
    return unit(0.25 * directions(1) + 0.45 * topics[parents[sub]] + 0.6 * subtopics[sub] + own * directions(count))


def from_file(path: str, count: int) -> Vectors:
    """Rows of a file in random order, repeated with noise when they are too few."""
    read = np.load(path)
    draw = np.random.default_rng(0)
    rows = read[np.concatenate([draw.permutation(len(read)) for _ in range(-(-count // len(read)))])[:count]]
    noise = draw.normal(size=rows[len(read) :].shape) * 0.3 / np.sqrt(rows.shape[1])
    rows[len(read) :] += noise.astype(np.float32)
    return unit(rows)


def plain_k_center(vectors: Vectors, count: int) -> list[int]:
    nearest, order, at = np.full(len(vectors), np.inf), [], 0
    for _ in range(count):
        order.append(at)
        nearest = np.minimum(nearest, 2 - 2 * (vectors @ vectors[at]).astype(np.float64))
        nearest[at] = -1
        at = int(np.argmax(nearest))
    return order


def plain_facility_location(vectors: Vectors, count: int) -> list[int]:
    apart = np.sqrt(np.maximum(0, 2 - 2 * (vectors @ vectors.T)))
    np.fill_diagonal(apart, 0)
    nearest, order = np.full(len(vectors), 2, dtype=np.float32), []
    scratch = np.empty_like(apart)
    for _ in range(count):
        np.subtract(nearest[:, None], apart, out=scratch)
        gains = np.maximum(scratch, 0, out=scratch).sum(axis=0, dtype=np.float64)
        order.append(int(np.argmax(gains)))
        nearest = np.minimum(nearest, apart[:, order[-1]])
    return order


def ours(search: Iterable[tuple[int, float]], count: int) -> list[int]:
    return [at for at, _ in islice(search, count)]


class Timed:
    """Wall and CPU seconds of the block."""

    def __enter__(self) -> Timed:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu

    def __str__(self) -> str:
        return f"{self.wall:.1f} s wall, {self.cpu:.1f} s CPU"


def peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def both_ways(vectors: Vectors, share: float) -> None:
    count, weights = int(share * len(vectors)), np.ones(len(vectors), dtype=np.int64)
    print(f"{len(vectors):,} rows to {count:,}, both ways")
    with Timed() as quick:
        mine = ours(Farthest(vectors, 0), count)
    with Timed() as slow:
        theirs = plain_k_center(vectors, count)
    same = "the same rows" if mine == theirs else f"{len({*mine} & {*theirs})} rows in common"
    print(
        f"  k-center: plugin {quick}; plain {slow}; {slow.cpu / quick.cpu:.1f} times the CPU time; {same}", flush=True
    )
    with Timed() as quick:
        mine = ours(lazy_greedy(Coverage(vectors, "euclidean", weights, most_pairs=len(vectors) ** 2 // 200)), count)
    with Timed() as slow:
        theirs = plain_facility_location(vectors, count)
    same = "the same rows" if mine == theirs else f"{len({*mine} & {*theirs})} rows in common"
    print(f"  facility location: plugin {quick}; plain {slow}; {slow.cpu / quick.cpu:.1f} times the CPU time; {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--small-rows", type=int, default=8000)
    parser.add_argument("--embeddings", help="a .npy file of unit vectors [n, d]")
    parser.add_argument("--near", action="store_true", help="facility location by neighbours, as in larger pools")
    asked = parser.parse_args()
    make = (lambda count: from_file(asked.embeddings, count)) if asked.embeddings else made_up
    vectors = make(asked.rows)
    similar = np.concatenate([np.sort(vectors[at : at + 1] @ vectors.T)[:, -2] for at in range(500)])
    nearest = ", ".join(f"{each:.2f}" for each in np.quantile(similar, [0.1, 0.5, 0.9]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {device}")
    print(f"cosine to the nearest other row: {nearest} (10 %, 50 %, 90 % of 500 rows)")
    count, weights = int(asked.share * asked.rows), np.ones(asked.rows, dtype=np.int64)
    print(f"{asked.rows:,} rows to {count:,}, width {vectors.shape[1]}; {peak_gigabytes():.2f} GB before", flush=True)
    with Timed() as spent:
        search = Farthest(vectors, 0)
        ours(search, count)
    print(
        f"  k-center: {spent}; {search.num_columns / count:.2f} columns a row; peak {peak_gigabytes():.2f} GB",
        flush=True,
    )
    with Timed() as spent:
        if asked.near:
            gains: Coverage | NearCoverage = NearCoverage(
                vectors, "euclidean", weights, number=int(np.clip(4 / asked.share, 32, 256))
            )
        else:
            gains = Coverage(vectors, "euclidean", weights)
        ours(lazy_greedy(gains), count)
    looks = gains.flops / (2 * vectors.size * len(vectors))
    print(f"  facility location: {spent}; {looks:.2f} looks at all distances; peak {peak_gigabytes():.2f} GB")
    both_ways(make(asked.small_rows), asked.share)


if __name__ == "__main__":
    main()
