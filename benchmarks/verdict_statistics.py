"""How long scores from verdicts take: twenty models on 805 prompts with 1,000 bootstrap draws, by every metric.

    python benchmarks/verdict_statistics.py                     processor seconds on one core
    python benchmarks/verdict_statistics.py --models 50 --prompts 500

Verdicts are made up: Bradley-Terry with an effect of length and a difficulty for each prompt. Each draw of prompts is
fitted anew. Beside our fits stand as many of liblinear's as `--peer` asks for, on the same draws, and how far the two
are apart; their time for all draws is that of these, times draws over these.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from sftbench.judging.liblinear import COSTS, l1_penalty
from sftbench.judging.logistic import Rows, fit_l1
from sftbench.judging.resampling import draw_prompts
from sftbench.judging.score import score_file
from sftbench.judging.scoring import Scoring


def write_verdicts(folder: Path, num_models: int, num_prompts: int, seed: int) -> tuple[Path, Path]:
    """A file of verdicts and one of difficulties."""
    draw = np.random.default_rng(seed)
    difficulty = draw.normal(size=num_prompts)
    verdicts, difficulties = folder / "verdicts.jsonl", folder / "difficulty.csv"
    with difficulties.open("w", newline="") as file:
        csv.writer(file).writerows([("index", "instruction_difficulty"), *enumerate(difficulty.tolist())])
    with verdicts.open("w") as file:
        for model, strength in enumerate(np.linspace(-1.5, 1, num_models)):
            lengths = np.maximum(draw.normal(1500 + 40 * model, 500, num_prompts), 1).astype(int)
            chance = 1 / (1 + np.exp(-(strength + np.tanh((lengths - 1900) / 500) + 0.8 * difficulty)))
            won = draw.random((2, num_prompts)) < chance
            for prompt in range(num_prompts):
                row = {
                    "id": prompt, "model": f"model-{model}", "baseline": "baseline",
                    "preference": float(won[:, prompt].mean()),
                    "model_first": "A>B" if won[0, prompt] else "B>A",
                    "baseline_first": "B>A" if won[1, prompt] else "A>B",
                    "length_model": int(lengths[prompt]), "length_baseline": 1900,
                    "style_model": {name: int(draw.integers(0, 9)) for name in ("headers", "lists", "bolds")},
                    "style_baseline": {name: int(draw.integers(0, 9)) for name in ("headers", "lists", "bolds")},
                }  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return verdicts, difficulties


def against_liblinear(num_prompts: int, num_draws: int, num_peer: int, seed: int) -> dict[str, float]:
    """Our fits to all draws of one model, and liblinear's to the first of them, to its default tolerance."""
    draw = np.random.default_rng(seed)
    columns = [np.tanh(draw.normal(size=num_prompts)), draw.normal(size=num_prompts), np.ones(num_prompts)]
    labels = np.clip(1 / (1 + np.exp(-(columns[0] + columns[1] - 1))) + draw.normal(0, 0.2, num_prompts), 0, 1)
    weights = draw_prompts(num_prompts, num_draws, seed)
    start = time.process_time()
    ours = fit_l1(Rows(columns=columns, labels=labels, weights=weights), np.full(num_draws, 1 / COSTS[-1]))
    middle = time.process_time()
    design, classes = np.tile(np.stack(columns, axis=1), (2, 1)), np.repeat([1, 0], num_prompts)
    theirs = []
    for weight in weights[:num_peer]:
        model = LogisticRegression(C=COSTS[-1], solver="liblinear", fit_intercept=False, random_state=0, **l1_penalty())
        model.fit(design, classes, sample_weight=np.concatenate([weight * labels, weight * (1 - labels)]))
        theirs.append(model.coef_[0])
    end = time.process_time()
    return {
        "our_seconds": middle - start,
        "liblinear_seconds": (end - middle) * num_draws / num_peer,
        "largest_difference": float(np.abs(np.array(theirs) - ours[:num_peer]).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=805)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--peer", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdicts, difficulty = write_verdicts(Path(folder), options.models, options.prompts, options.seed)
        cases = {
            "win-rate": {"metric": "win-rate"},
            "alpaca-lc, given difficulty": {"metric": "alpaca-lc", "difficulty": difficulty},
            "alpaca-lc, minimal": {"metric": "alpaca-lc", "form": "minimal"},
            "alpaca-lc, joint": {"metric": "alpaca-lc", "form": "joint"},
            "arena-style": {"metric": "arena-style"},
        }
        for name, settings in cases.items():
            start = time.process_time()
            score_file(Scoring(verdicts=verdicts, resamples=options.resamples, seed=options.seed, **settings))
            print(f"{name}: {time.process_time() - start:.1f} processor seconds")
    peer = against_liblinear(options.prompts, options.resamples, options.peer, options.seed)
    print(", ".join(f"{name} {value:.3g}" for name, value in peer.items()))


if __name__ == "__main__":
    main()
