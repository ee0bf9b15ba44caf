"""How often raw and corrected intervals of a win rate hold the truth, for judges of known error.

    python benchmarks/judge_correction.py

Each of 4,000 simulations draws the truth of every item, what the judge says of it, and what it says of its gold pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftbench.board.correction import NORMAL_95, GoldPreference, corrected
from sftbench.board.statistics import Estimate
from sftbench.judging.card.intervals import mean

SIMULATIONS = 4000


@dataclass(frozen=True, kw_only=True)
class Case:
    """`right` are the chances to be right where the model is better and where the baseline is."""

    name: str
    right: tuple[float, float]
    win_rate: float
    num_items: int = 805
    num_gold: int = 100
    ties: float = 0.0


CASES = (
    Case(name="right in 90 %", right=(0.9, 0.9), win_rate=0.75),
    Case(name="right in 80 %", right=(0.8, 0.8), win_rate=0.65),
    Case(name="right in 80 %, 30 % ties", right=(0.8, 0.8), win_rate=0.65, ties=0.3),
    Case(name="right in 80 %, even models", right=(0.8, 0.8), win_rate=0.5),
    Case(name="right in 70 %, 400 gold pairs", right=(0.7, 0.7), win_rate=0.65, num_gold=400),
    Case(name="right in 60 %", right=(0.6, 0.6), win_rate=0.65),
    Case(name="right in 50 %", right=(0.5, 0.5), win_rate=0.65),
    Case(name="likes the model: right in 90 and 70 %", right=(0.9, 0.7), win_rate=0.65),
)


def said(draw: np.random.Generator, case: Case, model_better: np.ndarray) -> np.ndarray:
    """Preferences for the model, 0 to 1."""
    right = draw.random(len(model_better)) < np.where(model_better, *case.right)
    return np.where(draw.random(len(right)) < case.ties, 0.5, (model_better == right).astype(float))


def simulated(case: Case, seed: int) -> dict[str, float]:
    """Shares of simulations, in percent."""
    draw = np.random.default_rng(seed)
    counts = dict.fromkeys(("raw", "corrected", "untold"), 0)
    widths = []
    for _ in range(SIMULATIONS):
        preferences = 100 * said(draw, case, draw.random(case.num_items) < case.win_rate)
        half = NORMAL_95 * preferences.std(ddof=1) / case.num_items**0.5
        value = preferences.mean()
        raw = Estimate(mean=value, low=value - half, high=value + half, num_seeds=1, num_items=case.num_items,
                       num_failed_items=0)  # fmt: skip
        better = draw.random(case.num_gold) < 0.5
        gold = np.where(better, 1, -1) * (said(draw, case, better) - 0.5) + 0.5
        card = mean(gold, widest=0.5).percent()
        found = corrected(
            raw, GoldPreference(value=card.value, low=card.low, high=card.high, num=case.num_gold)
        ).estimate
        truth = 100 * case.win_rate
        counts["raw"] += raw.low <= truth <= raw.high
        counts["untold"] += found is None
        if found is not None:
            counts["corrected"] += found.low <= truth <= found.high
            widths.append(found.high - found.low)
    num_told = max(1, SIMULATIONS - counts["untold"])
    return {
        "raw holds it": 100 * counts["raw"] / SIMULATIONS,
        "corrected holds it": 100 * (counts["corrected"] + counts["untold"]) / SIMULATIONS,
        "where told": 100 * counts["corrected"] / num_told,
        "not told": 100 * counts["untold"] / SIMULATIONS,
        "median width": float(np.median(widths)) if widths else float("nan"),
    }


def main() -> None:
    """Print one line per case."""
    for case in CASES:
        figures = "  ".join(f"{name} {value:5.1f}" for name, value in simulated(case, 1).items())
        print(f"{case.name:40} {figures}")


if __name__ == "__main__":
    main()
