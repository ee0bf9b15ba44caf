"""Made-up results of a run: cells as files, with chosen means, noise and accidents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass
class Results:
    """A results folder under construction."""

    folder: Path
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    num_items: int = 120

    def cell(
        self, label: str, *, seed: int = 0, budget: str = "10%", skill: float = 0.5, **changes: Any
    ) -> dict[str, Any]:
        """A finished cell whose exact match is near `skill`."""
        difficulty = np.random.default_rng(77).uniform(0, 1, self.num_items)
        right = (difficulty + self.rng.normal(0, 0.05, self.num_items) < skill).astype(float)
        ids = [f"item-{index}" for index in range(self.num_items)]
        metric = {"ids": ids, "items": {"exact-match": right.tolist()}, "bigger_is_better": {"exact-match": True}}
        nll = (2 - skill + self.rng.normal(0, 0.1, self.num_items)).tolist()
        preference = (0.25 + 0.5 * right).tolist()
        spent = dict.fromkeys(("tokens_forward", "tokens_backward", "tokens_generated", "flops"), 1000.0)
        measured = {
            name: float(self.rng.uniform(1, 2)) for name in ("wall_seconds", "device_seconds", "peak_memory_bytes")
        }
        return {
            "schema": 1, "method": label.partition("[")[0], "label": label, "kind": "method", "matched_to": None,
            "budget": budget, "seed": seed, "base": {"name": "tiny", "fingerprint": "f"},
            "pool": {"name": "pool", "key": "k", "num_rows": 720, "num_planted": 72, "num_planted_tokens": 4000,
                     "num_response_tokens": 50000},
            "fidelity": "reconstruction", "status": "done", "failure": None,
            "selection": {"num_rows": 72, "num_response_tokens": 5000, "num_planted_rows": 18,
                          "num_planted_tokens": 1000, "trained_share": 0.5,
                          "status": "full", "key": "s", "ids_hash": "h"},
            "evaluations": {
                "exact-match": metric,
                "nll": {"ids": ids, "items": {"nll": nll}, "bigger_is_better": {"nll": False}},
            },
            "verdicts": {"baseline": "random", "judge": "checker", "ids": ids, "preference": preference},
            "cost": {phase: {**spent, **measured} for phase in ("selecting", "training", "evaluating")},
            "steps": [{"room": "scores", "part": "x@1", "key": "k"}],
            **changes,
        }  # fmt: skip

    def write(self, cell: dict[str, Any]) -> Path:
        """Put a cell where a run would."""
        slug = "".join(letter if letter.isalnum() else "-" for letter in cell["label"])
        path = self.folder / slug / cell["budget"].replace("%", "pct") / f"seed-{cell['seed']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(cell), encoding="utf-8")
        return path

    def add(self, label: str, *, seeds: range = range(3), **about: Any) -> None:
        """A row over several seeds."""
        for seed in seeds:
            self.write(self.cell(label, seed=seed, **about))

    def fail(self, label: str, *, seed: int, message: str = "no finite score", **about: Any) -> None:
        """A cell that failed while scoring."""
        failure = {"step": "scores", "error": "ValueError", "message": message}
        self.write(
            self.cell(
                label,
                seed=seed,
                status="failed",
                failure=failure,
                selection=None,
                evaluations={},
                verdicts=None,
                cost={},
                **about,
            )
        )


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def new_results(tmp_path: Path) -> Callable[[str], Results]:
    """Further results folders, by name."""
    return lambda name: Results(tmp_path / name)
