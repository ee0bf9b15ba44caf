"""How often the board's intervals hold the truth and its claims are wrong, in made-up worlds whose truth is known.

Values are mean + seed effect + item effect + rest. Where it says "uneven", rows differ in how noisy their training is,
by a factor exp(0.4 z), as on real boards and as no statistic here assumes. Prints the figures of docs/boards.md.

Run: python benchmarks/board_coverage.py [--boards 1000]
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
import numpy.typing as npt

from sftbench.board.detectable import detectable_differences
from sftbench.board.noise import TrainingNoise, fit_noise
from sftbench.board.ranking import Elsewhere, Measurements
from sftbench.board.spread import Grid, Spread, take_apart
from sftbench.board.statistics import apart, estimate_all
from sftbench.board.tiers import NOTHING_ELSE

Floats = npt.NDArray[np.float64]
WORLDS = {
    "training noise leads": (0.2, 0.3, 0.5),
    "both matter": (0.04, 0.4, 0.5),
    "items lead": (0.002, 1.0, 0.1),
    "nothing but rest": (0.0, 0.0, 0.5),
}
NUM_ITEMS = 100
SPREAD = 0.4
EVENNESS = {"even": 0.0, "uneven": SPREAD}


def drawn(rng: np.random.Generator, means: Floats, seeds: int, world: str, *, spread: float = SPREAD) -> Floats:
    """Values [rows, seeds, items]. What items have in common for all rows is left out: differences do not see it."""
    seed_deviation, item_deviation, rest = WORLDS[world]
    rows = len(means)
    noises = seed_deviation * np.exp(spread * rng.normal(size=(rows, 1, 1)))
    return (
        means[:, None, None]
        + noises * rng.normal(size=(rows, seeds, 1))
        + rng.normal(0, item_deviation, (rows, 1, NUM_ITEMS))
        + rng.normal(0, rest, (rows, seeds, NUM_ITEMS))
    )


def measured(values: Floats, *, num_contenders: int | None = None) -> Measurements:
    """One budget of a board: row 0 is `random`; rows from `num_contenders` on are matched to row 1, 2, ..."""
    count = len(values) if num_contenders is None else num_contenders
    grids = [Grid(seeds=tuple(range(len(each))), values=each) for each in values]
    spreads = {row: spread for row, grid in enumerate(grids) if (spread := take_apart(grid)) is not None}
    return Measurements(
        name="score",
        key="simulated",
        bigger_is_better=True,
        num_items=NUM_ITEMS,
        grids=list(grids),
        spreads=spreads,
        noise=noise_of(list(spreads.values())),
        noise_of_contenders=noise_of([spreads[row] for row in range(count)]),
        matched={row: 1 + (row - count) % max(count - 1, 1) for row in range(count, len(grids))},
        reference=0,
    )


def noise_of(spreads: list[Spread]) -> TrainingNoise | None:
    """What the rows say together of training noise."""
    return fit_noise(
        np.array([each.seed_variance for each in spreads]), np.array([each.num_seeds - 1.0 for each in spreads])
    )


def coverage(
    rng: np.random.Generator, world: str, seeds: int, num_boards: int, *, spread: float
) -> tuple[float, float]:
    """How many intervals of means, and of differences to row 0, hold the truth, on boards of 12 equal rows."""
    hits: list[list[bool]] = [[], []]
    for number in range(num_boards):
        board = measured(drawn(rng, np.zeros(12), seeds, world, spread=spread))
        differences = [each for each in board.baseline_pairs.differences if each is not None]
        for found, spreads in zip(hits, (list(board.spreads.values()), differences), strict=True):
            for each in estimate_all(spreads, board.noise, key=str(number), num_resamples=1000):
                found.append(each.low is not None and each.high is not None and each.low <= 0 <= each.high)
    return float(np.mean(hits[0])), float(np.mean(hits[1]))


def claims(
    rng: np.random.Generator, rows: int, budgets: int, seeds: int, num_boards: int, *, matched: bool
) -> dict[str, float]:
    """How many boards on which all rows are equal claim something, by kind of claim."""
    found = []
    for _ in range(num_boards):
        count = rows + 2 * (rows - 1) if matched else rows
        board = [
            measured(drawn(rng, np.zeros(count), seeds, "both matter"), num_contenders=rows) for _ in range(budgets)
        ]
        wrong = dict.fromkeys(("a winner", "tiers", "random", "matched"), False)
        for each in board:
            elsewhere = Elsewhere.of([other for other in board if other is not each])
            standings = list(each.standings(elsewhere.pairs).values())
            wrong["a winner"] |= sum(standing.tied_with_best for standing in standings) == 1
            wrong["tiers"] |= any(standing.tier > 1 for standing in standings)
            for kind, pairs, others in (
                ("random", each.baseline_pairs, elsewhere.baseline),
                ("matched", each.matched_pairs, elsewhere.matched),
            ):
                wrong[kind] |= bool(apart(pairs.p, others).any())
        found.append({**wrong, "anything": any(wrong.values())})
    return {kind: float(np.mean([each[kind] for each in found])) for kind in found[0]}


def places_held(rng: np.random.Generator, seeds: int, num_boards: int) -> tuple[float, float]:
    """How many boards hold the true places of all rows, and how wide the intervals are on average."""
    means = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0])
    true = len(means) - np.argsort(np.argsort(means))
    held, widths = [], []
    for _ in range(num_boards):
        standings = measured(drawn(rng, means, seeds, "both matter")).standings()
        held.append(all(each.places[0] <= true[row] <= each.places[1] for row, each in standings.items()))
        widths += [each.places[1] - each.places[0] + 1 for each in standings.values()]
    return float(np.mean(held)), float(np.mean(widths))


def power(
    rng: np.random.Generator, rows: int, seeds: int, world: str, num_boards: int, *, spread: float
) -> tuple[float, float]:
    """The difference that boards promise to tell (their median), and how many boards tell one of that size."""
    promised = []
    for _ in range(max(num_boards // 5, 40)):
        compared = measured(drawn(rng, np.zeros(rows), seeds, world, spread=spread)).baseline_pairs
        differences = [each for each in compared.differences if each is not None]
        promised.append(np.median(detectable_differences(differences, compared.noise, num_comparisons=rows - 1)))
    size = float(np.nanmedian(promised))
    means, told = np.zeros(rows), []
    means[1] = size
    for _ in range(num_boards):
        compared = measured(drawn(rng, means, seeds, world, spread=spread)).baseline_pairs
        pair = compared.pairs.index((1, 0))
        difference = compared.differences[pair]
        told.append(difference is not None and difference.mean > 0 and bool(apart(compared.p, NOTHING_ELSE)[pair]))
    return size, float(np.mean(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=1000)
    count = parser.parse_args().boards
    rng = np.random.default_rng(0)
    print(f"{count} boards for each figure; its standard error is at most {0.5 / np.sqrt(count):.3f}")
    for (how, spread), world, seeds in product(EVENNESS.items(), WORLDS, (3, 5)):
        means, differences = coverage(rng, world, seeds, count // 4, spread=spread)
        print(f"coverage, {how}, {world}, {seeds} seeds: means {means:.3f}, differences {differences:.3f}", flush=True)
    for rows, budgets, matched in ((2, 1, False), (2, 3, False), (5, 1, False), (5, 3, False), (5, 3, True)):
        for seeds in (3, 5):
            wrong = claims(rng, rows, budgets, seeds, count, matched=matched)
            told = ", ".join(f"{kind} {share:.3f}" for kind, share in wrong.items())
            print(f"claims, {rows} equal rows, {budgets} budgets, {seeds} seeds: {told}", flush=True)
    for seeds in (3, 5):
        held, width = places_held(rng, seeds, count)
        print(f"places, 8 rows, {seeds} seeds: all held {held:.3f}, mean width {width:.1f}", flush=True)
    for (how, spread), rows, world, seeds in product(EVENNESS.items(), (2, 4, 10, 33), list(WORLDS)[:3], (3, 5)):
        size, told = power(rng, rows, seeds, world, count, spread=spread)
        print(f"power, {how}, {rows} rows, {world}, {seeds} seeds: {size:.3f} is told {told:.3f}", flush=True)


if __name__ == "__main__":
    main()
