"""Made-up records of a study: cells as files, with chosen performance and diversity."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench.study.definition import parse_study


class Records:
    """A results folder under construction."""

    def __init__(self, folder):
        self.folder, self.num_items = folder, 60

    def add(
        self,
        label,
        *,
        right,
        seed=0,
        budget="60",
        chosen=None,
        diversity=None,
        status="done",
        num_planted=0,
        undescribed="",
    ):
        """A cell of which `right` of 60 items are answered right, the same items first whoever answers."""
        ids = [f"item-{index}" for index in range(self.num_items)]
        values = [float(index < right) for index in range(self.num_items)]
        metric = {"ids": ids, "items": {"exact_match": values}, "bigger_is_better": {"exact_match": True}}
        spent = dict.fromkeys(("tokens_forward", "tokens_backward", "tokens_generated", "flops", "wall_seconds"), 1.0)
        failed = status == "failed"
        cell = {
            "schema": 1, "method": label.partition("[")[0], "label": label, "kind": "method", "matched_to": None,
            "budget": budget, "seed": seed, "base": {"name": "tiny", "fingerprint": "f"},
            "pool": {"name": "pool", "key": "k", "num_rows": 500, "num_planted": num_planted},
            "fidelity": "reconstruction", "status": status,
            "failure": {"step": "scores", "error": "ValueError", "message": "broken"} if failed else None,
            "selection": None if failed else {
                "num_rows": 60, "num_response_tokens": 900, "num_planted_rows": 0, "num_planted_tokens": 0,
                "trained_share": 1.0, "status": "full", "key": "s", "ids_hash": chosen or f"{label}-{seed}-{budget}",
            },
            "evaluations": {} if failed else {"exact-match": metric},
            "verdicts": None, "cost": {} if failed else {"training": spent},
            "diversity": {
                component: [
                    {"metric": name, "value": value, "ci_lo": None, "ci_hi": None, "unit": "nats", "tokens": 900,
                     "n": 60, "direction": "up", "note": ""}
                    for name, value in metrics.items()
                ]
                for component, metrics in (diversity or {}).items()
            },
            "undescribed": {"response": {"step": "diversity", "error": "ValueError", "message": undescribed}}
            if undescribed else {},
        }  # fmt: skip
        slug = "".join(letter if letter.isalnum() else "-" for letter in label)
        path = self.folder / slug / budget.replace("%", "pct") / f"seed-{seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(cell), encoding="utf-8")


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results")


@pytest.fixture
def study_of():
    """A study from what its file would hold, with defaults for what a test does not care about."""

    def made(**about):
        content = {
            "name": "trial", "about": "A trial.",
            "series": [{"name": "micro", "methods": "micro-response[level=0|50|100]"},
                       {"name": "random", "methods": "random"}],
            "performance": [{"metric": "exact-match", "label": "exact match", "unit": "points", "times": 100}],
            "x": {"of": "level", "label": "level, %", "step": 100}, "analyses": ["regression"],
            **about,
        }  # fmt: skip
        return parse_study(content, where="trial.yaml")

    return made


@pytest.fixture
def levels(records):
    """Three levels and three seeds, better by 6 items a level; the rows are more diverse and longer, too."""
    draw = np.random.default_rng(0)
    for seed in range(3):
        for level in (0, 50, 100):
            diversity = {
                "response": {
                    "length": 10 + level / 10 + draw.normal(),
                    "entropy": 3 + level / 100 + 0.1 * draw.normal(),
                    "self-bleu": 0.5 - level / 400 + 0.02 * draw.normal(),
                }
            }
            right = 20 + 6 * level // 50 + int(draw.integers(-1, 2))
            records.add(f"micro-response[level={level}]", seed=seed, right=right, diversity=diversity)
        records.add("random", seed=seed, right=25, diversity={"response": {"length": 12.0, "entropy": 3.3}})
    return records
