"""How much of a pool the TokenTune campaign looks into, and how good its rows are, on a simulated pool.

Recipe: cluster means from N(0.3, 0.08), utilities within a cluster with deviation 0.15, clipped at 1. The
clusters are given, no model runs. `oracle` is the best of a full scan, `random` a random choice; figures
are means over seeds. Run with `python benchmarks/tokentune_bandit.py [--rows 20000] [--clusters 50]`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from sftbench_plugins.tokentune.bandit import fresh_bandit
from sftbench_plugins.tokentune.clusters import default_num_clusters
from sftbench_plugins.tokentune.search import Campaign, Plan

VARIANTS: dict[str, dict[str, Any]] = {
    "ucb (default)": {},
    "ucb, warm_start=0 (to the letter)": {"warm_start": 0},
    "ucb, gamma=0.05": {"gamma": 0.05},
    "ucb, reward=all_scored": {"reward": "all_scored"},
    "ucb, clusters_per_iteration=10": {"arms_per_iteration": 10},
    "ucb, cadence=10%": {"cadence": 0.1},
    "thompson": {"kind": "thompson"},
    "exp3": {"kind": "exp3"},
    "no_mab": {"kind": "random", "warm_start": 0},
    "no_sample_utility": {"guided": False},
}


def simulated(num_clusters: int, each: int, rng: np.random.Generator) -> np.ndarray:
    """Utilities [num_clusters, each]."""
    means = rng.normal(0.3, 0.08, (num_clusters, 1))
    return np.minimum(1, rng.normal(means, 0.15, (num_clusters, each)))


def one_run(utilities: np.ndarray, budget: int, seed: int, variant: dict[str, Any]) -> tuple[float, float, int]:
    """Share of the pool examined, mean utility of the rows taken, clusters pulled."""
    plan = {"kind": "ucb", "gamma": 0.001, "cadence": 0.01, **variant}
    kind, gamma, cadence = plan.pop("kind"), plan.pop("gamma"), plan.pop("cadence")
    flat = utilities.ravel()
    campaign = Campaign(
        clusters=np.split(np.arange(flat.size), len(utilities)),
        examine=lambda rows: flat[rows],
        bandit=fresh_bandit(kind, len(utilities), rng=np.random.default_rng(seed), gamma=gamma, exp3_gamma=0.1),
        plan=Plan(batch=max(1, round(cadence * budget)), **plan),
        costs=np.ones(flat.size),
        cap=budget,
    )
    taken = campaign.run()
    return float(campaign.examined.mean()), float(flat[taken].mean()), len(set(campaign.trace.arm))


def main() -> None:
    """Print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--clusters", type=int, default=0, help="0: the default for that many rows")
    parser.add_argument("--budget", type=float, default=0.05, help="share of the pool")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    num_clusters = given.clusters or default_num_clusters(given.rows)
    budget = round(given.budget * given.rows)
    pools = [
        simulated(num_clusters, given.rows // num_clusters, np.random.default_rng(seed)) for seed in range(given.seeds)
    ]
    oracle = float(np.mean([np.sort(pool.ravel())[-budget:].mean() for pool in pools]))
    chance = float(np.mean([pool.mean() for pool in pools]))
    print(f"{given.rows} rows, {num_clusters} clusters, budget {budget}")
    print(f"mean utility of a full scan's best {oracle:.3f}, of a random choice {chance:.3f}")
    print(f"{'variant':36} {'scored':>7} {'mean U':>7} {'of oracle gain':>14} {'clusters':>8} {'seconds':>8}")
    for name, variant in VARIANTS.items():
        start = time.perf_counter()
        runs = [one_run(pool, budget, seed, variant) for seed, pool in enumerate(pools)]
        seconds = (time.perf_counter() - start) / len(runs)
        scored, utility, pulled = np.mean(runs, axis=0)
        gained = (utility - chance) / (oracle - chance)
        print(f"{name:36} {scored:7.1%} {utility:7.3f} {gained:14.1%} {pulled:8.1f} {seconds:8.2f}")


if __name__ == "__main__":
    main()
