"""How much of a pool TokenTune looks into, and how good the rows are that it takes, against a full scan.

Without `--pool` on simulated utilities: cluster means from N(0.3, 0.08), utilities within a cluster with deviation
0.15, clipped at 1; the clusters are given and no model runs. With `--pool` and `--model` on real ones, measured once
by `tokentune_pool.py`. `of scan` is the mean utility of the rows taken over that of a full scan's choice; `gained` the
share of the way from a random choice to it. `known means` looks into the clusters with the largest true means first:
where rows of a cluster cannot be told apart before they are scored, no search can look better on average. Figures are
means over seeds. Run with `python benchmarks/tokentune_bandit.py [--rows 20000] [--budget 0.05] [--pool FILE ...]`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokentune_pool import measured

from sftbench_plugins.tokentune.bandit import fresh_bandit
from sftbench_plugins.tokentune.clusters import cluster, default_num_clusters
from sftbench_plugins.tokentune.search import Campaign, Survey
from sftbench_plugins.tokentune.selector import Tokentune

Values = npt.NDArray[np.float64]

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "warm_start=2": {"warm_start": 2},
    "warm_start=16": {"warm_start": 16},
    "gamma=0.05": {"gamma": 0.05},
    "cadence=10%": {"cadence": 0.1},
    "thompson": {"bandit": "thompson"},
    "exp3": {"bandit": "exp3"},
    "no_mab": {"no_mab": True},
    "take=cluster": {"take": "cluster"},
    "take=cluster, warm_start=0 (to the letter)": {"take": "cluster", "warm_start": 0},
    "take=cluster, gamma=0.05": {"take": "cluster", "gamma": 0.05},
    "take=cluster, reward=all_scored": {"take": "cluster", "reward": "all_scored"},
    "take=cluster, clusters_per_iteration=10": {"take": "cluster", "clusters_per_iteration": 10},
    "take=cluster, no_mab": {"take": "cluster", "no_mab": True},
    "no_sample_utility": {"no_sample_utility": True},
}


@dataclass(frozen=True, kw_only=True)
class World:
    """Utilities [n] of a pool, NaN for a row that must not be chosen, and its clusters."""

    utilities: Values
    clusters: list[npt.NDArray[np.int64]]

    def best(self, budget: int) -> float:
        """The mean utility of a full scan's choice."""
        return float(np.sort(self.utilities[np.isfinite(self.utilities)])[-budget:].mean())

    def knowing(self, budget: int) -> float:
        """The mean utility of the best rows out of the clusters with the largest true means."""
        means = [np.nanmean(self.utilities[rows]) if len(rows) else -np.inf for rows in self.clusters]
        order = np.concatenate([self.clusters[arm] for arm in np.argsort(means)[::-1]])
        return World(utilities=self.utilities[order[: self.num_looks(budget)]], clusters=[]).best(budget)

    def num_looks(self, budget: int) -> int:
        """Rows that the default looks into."""
        num_rows, num_clusters = len(self.utilities), len(self.clusters)
        return Tokentune().plan(num_rows=num_rows, num_wanted=budget, num_clusters=num_clusters).num_looks


def simulated(num_clusters: int, each: int, rng: np.random.Generator) -> Values:
    """Utilities [num_clusters, each]."""
    means = rng.normal(0.3, 0.08, (num_clusters, 1))
    return np.minimum(1, rng.normal(means, 0.15, (num_clusters, each)))


def one_run(world: World, budget: int, seed: int, variant: dict[str, Any]) -> tuple[float, float, int]:
    """Share of the pool examined, mean utility of the rows taken, clusters pulled."""
    part = Tokentune(**variant)
    num_rows, num_clusters = len(world.utilities), len(world.clusters)
    rng = np.random.default_rng(seed)
    campaign = (Survey if part.surveys else Campaign)(
        clusters=world.clusters,
        examine=lambda rows: world.utilities[rows],
        bandit=fresh_bandit(part.kind, num_clusters, rng=rng, gamma=part.gamma, exp3_gamma=part.exp3_gamma),
        plan=part.plan(num_rows=num_rows, num_wanted=budget, num_clusters=num_clusters),
        costs=np.ones(num_rows),
        cap=budget,
    )
    taken = campaign.run()
    return float(campaign.examined.mean()), float(world.utilities[taken].mean()), len(set(campaign.trace.arm))


def worlds(given: argparse.Namespace) -> list[World]:
    """One per seed: other utilities where they are simulated, other clusters where they are real."""
    num_clusters = given.clusters or default_num_clusters(given.rows)
    if not given.pool:
        each = given.rows // num_clusters
        drawn = [simulated(num_clusters, each, np.random.default_rng(seed)).ravel() for seed in range(given.seeds)]
        return [World(utilities=one, clusters=np.split(np.arange(len(one)), num_clusters)) for one in drawn]
    vectors, utilities = measured(
        given.pool, given.model, num_rows=given.rows, warmup=given.rows // 10, cache=given.cache
    )
    found = (cluster(vectors, "spherical", num_clusters=num_clusters, rng=np.random.default_rng(seed))
             for seed in range(given.seeds))  # fmt: skip
    return [World(utilities=utilities, clusters=clusters) for clusters in found]


def main() -> None:
    """Print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--clusters", type=int, default=0, help="0: the default for that many rows")
    parser.add_argument("--budget", type=float, default=0.05, help="share of the pool")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--pool", help="real rows instead of simulated utilities; goes with --model and --cache")
    parser.add_argument("--model", type=Path, help="folder of the base model")
    parser.add_argument("--cache", type=Path, default=Path("tokentune_pool.npz"), help="where measurements are kept")
    given = parser.parse_args()
    made, budget = worlds(given), round(given.budget * given.rows)

    def mean(figure: Callable[[World], float]) -> float:
        return float(np.mean([figure(world) for world in made]))

    best, chance = mean(lambda world: world.best(budget)), mean(lambda world: float(np.nanmean(world.utilities)))
    print(f"{given.rows} rows, {len(made[0].clusters)} clusters, budget {budget}")
    print(f"mean utility of a full scan's best {best:.3f}, of a random choice {chance:.3f}")
    print(f"{'variant':44} {'scored':>7} {'mean U':>7} {'of scan':>8} {'gained':>7} {'clusters':>8} {'seconds':>8}")

    def line(name: str, scored: float, utility: float, rest: str = "") -> None:
        gained = (utility - chance) / (best - chance)
        print(f"{name:44} {scored:7.1%} {utility:7.3f} {utility / best:8.1%} {gained:7.1%}{rest}")

    looked = mean(lambda world: world.num_looks(budget) / len(world.utilities))
    line("known means", looked, mean(lambda world: world.knowing(budget)))
    for name, variant in VARIANTS.items():
        start = time.process_time()
        runs = [one_run(world, budget, seed, variant) for seed, world in enumerate(made)]
        seconds = (time.process_time() - start) / len(runs)
        scored, utility, pulled = np.mean(runs, axis=0)
        line(name, scored, utility, f" {pulled:8.1f} {seconds:8.2f}")


if __name__ == "__main__":
    main()
