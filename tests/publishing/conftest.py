"""Small made-up runs, and the bundles that they are published as."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench.fingerprint import key_of
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.layout import json_text
from sftbench.publishing.manifest import read_manifest, write_manifest
from sftbench.publishing.publish import publish

SETTINGS = {
    "methods": ["alpha", "beta"], "budget": ["10"], "seeds": [0, 1], "judge": "checker", "trainer": "sft",
    "evals": ["exact-match"], "plant": 0.1, "max_length": 64, "pool": None, "base": None,
}  # fmt: skip
NUM_ITEMS = 12


class Run:
    """A results folder under construction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = dict(SETTINGS)
        self.noise = 0

    def cell(self, label: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
        """A finished cell; the same numbers for the same label and seed, but for seconds, which differ by `noise`."""
        rng = np.random.default_rng([seed, *label.encode()])
        ids = [f"item-{index}" for index in range(NUM_ITEMS)]
        right = (rng.uniform(size=NUM_ITEMS) < 0.5).astype(float).tolist()
        counted = {"tokens_forward": 1000.0 + seed, "tokens_backward": 10.0, "tokens_generated": 5.0, "flops": 1e9}
        measured = {
            name: float(np.random.default_rng([self.noise, seed, *label.encode()]).uniform(1, 2))
            for name in ("wall_seconds", "device_seconds", "peak_memory_bytes")
        }
        positions = sorted(int(each) for each in rng.permutation(100)[:10])
        return {
            "schema": 1, "method": label, "label": label, "kind": "method", "matched_to": None, "budget": "10",
            "seed": seed, "base": {"name": "tiny", "fingerprint": "f" * 64},
            "pool": {"name": "pool", "key": "pool/" + "a" * 64, "num_rows": 100, "num_planted": 10,
                     "num_planted_tokens": 50, "num_response_tokens": 500},
            "fidelity": "reconstruction", "status": "done", "failure": None,
            "selection": {"num_rows": 10, "num_response_tokens": 60, "num_planted_rows": 2, "num_planted_tokens": 9,
                          "trained_share": 0.5, "status": "full", "key": f"selection/{key_of([label, seed])}",
                          "ids_hash": key_of([f"row-{each}" for each in positions]),
                          "positions": ",".join(map(str, _runs(positions)))},
            "evaluations": {"exact-match": {"ids": ids, "items": {"exact-match": right},
                                            "bigger_is_better": {"exact-match": True}}},
            "verdicts": None if label == "beta" else {
                "baseline": "beta", "judge": "checker", "ids": ids,
                "preference": (0.25 + 0.5 * rng.uniform(size=NUM_ITEMS)).tolist()},
            "cost": {phase: {**counted, **measured} for phase in ("selecting", "training", "evaluating")},
            "steps": [{"room": "evaluation", "part": "exact-match@1", "key": key_of([label, seed, "evaluation"])},
                      {"room": "verdicts", "part": "checker@1", "key": key_of([label, seed, "verdicts"])},
                      {"room": "selection", "part": f"{label}@1", "key": key_of([label, seed])}],
            **changes,
        }  # fmt: skip

    def write(self, cell: dict[str, Any]) -> Path:
        path = self.folder / cell["label"] / cell["budget"] / f"seed-{cell['seed']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(cell, indent=1), encoding="utf-8")
        return path

    def finish(self) -> Path:
        """Write `run.json`; returns the folder."""
        about = {
            "schema": 1,
            "name": self.folder.name,
            "given": {"methods": "alpha,beta"},
            "settings": self.settings,
            "num_cells": len(list(self.folder.glob("*/*/seed-*.json"))),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run.json").write_text(json.dumps(about), encoding="utf-8")
        return self.folder


def _runs(positions: list[int]) -> list[str]:
    from sftbench.positions import positions_as_text

    return positions_as_text(positions).split(",")


@pytest.fixture
def new_run(tmp_path):
    """Starts further runs, by name; `labels` at two seeds unless told otherwise."""

    def start(name: str = "toys", labels: tuple[str, ...] = ("alpha", "beta"), *, noise: int = 0) -> Run:
        run = Run(tmp_path / name)
        run.noise = noise
        for label in labels:
            for seed in (0, 1):
                run.write(run.cell(label, seed))
        run.finish()
        return run

    return start


@pytest.fixture(scope="session")
def published_once(tmp_path_factory):
    """One bundle, which tests copy."""
    place = tmp_path_factory.mktemp("published")
    run = Run(place / "toys")
    for label in ("alpha", "beta"):
        for seed in (0, 1):
            run.write(run.cell(label, seed))
    publish(BundleWanted(results=run.finish()), str(place / "bundle"))
    return place / "bundle"


@pytest.fixture
def bundle(published_once, tmp_path):
    """A bundle to spoil."""
    return Path(shutil.copytree(published_once, tmp_path / "bundle"))


def make_manifest_match(bundle: Path) -> None:
    """What a forger does who has read the code: the manifest says whatever the files say now."""
    write_manifest(bundle, read_manifest(bundle)["name"])


def rewrite(path: Path, change: Any) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json_text(value), encoding="utf-8")
