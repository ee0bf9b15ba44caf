"""Made-up results of a run: cells as files, with chosen means, noise and accidents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench.positions import positions_as_text

HOSTILE = [
    "<script>window.harmed = 1</script>\"'><img src=x onerror='window.harmed = 2'>",
    "a\u202egnp.exe\u2066 and \u200b\u0007",
    "javascript:window.harmed=3",
    "</script><svg onload=window.harmed=4>{{ 7 * 7 }}\u2028",
    "x" * 1_000_000,
]


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

    def write_safely(self, cell: dict[str, Any]) -> Path:
        """Put a cell in a folder whose name does not depend on the label, which may be none."""
        name = hashlib.sha256(cell["label"].encode("utf-8", "replace")).hexdigest()[:12]
        path = self.folder / name / cell["budget"].replace("%", "pct") / f"seed-{cell['seed']}.json"
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


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results/shown` and its site `leaderboards/shown`: two budgets, matched controls, a study,
    accidents, and texts that would do harm on a page that took them for markup."""
    from sftbench.board.build import build_board
    from sftbench.board.site.compared import write_comparison
    from sftbench.board.site.files import write_site
    from sftbench.board.site.overview import overview_page

    home = tmp_path_factory.mktemp("shown")
    made = Results(home / "results" / "shown", num_items=60)
    pool = made.cell("x")["pool"] | {"name": HOSTILE[0]}

    def add(label: str, **about: Any) -> None:
        for seed in range(3):
            chosen = chosen_at_random(made, "random" if label == "full" else label, seed)
            made.write_safely(made.cell(label, seed=seed, pool=pool, selection=chosen, **about))

    for budget, better in (("5%", 0.0), ("10%", 0.1)):
        add("careful", budget=budget, skill=0.6 + better)
        add("random", budget=budget, skill=0.4 + better, kind="control")
        add("full", budget=budget, skill=0.5 + better, kind="control")
        add("lengths(careful)", budget=budget, skill=0.3, kind="control", matched_to="careful", method="lengths")
        for index, text in enumerate(HOSTILE):
            add(text, budget=budget, skill=0.2 + 0.02 * index)
    failure = {"step": HOSTILE[0], "error": HOSTILE[1], "message": HOSTILE[3] + "\n" + "m" * 1_000_000}
    failed = {
        "status": "failed",
        "failure": failure,
        "selection": None,
        "evaluations": {},
        "verdicts": None,
        "cost": {},
    }
    made.write_safely(made.cell("broken", budget="10%", pool=pool, **failed))
    cards = {
        "careful": {"about": HOSTILE[0], "paper": "A paper (arXiv 2506.01317)", "fidelity": {"*": "exact"},
                    "deviations": [HOSTILE[2]], "parts": {"scorer": HOSTILE[1]},
                    "parameters": [{"parameter": "alpha", "default": HOSTILE[0], "part": "scorer", "about": "noise"}]},
        "random": {"paper": HOSTILE[2]},
    }  # fmt: skip
    for name, content in (
        ("methods.json", cards),
        (
            "run.json",
            {"name": "shown", "given": {"methods": HOSTILE}, "settings": {"seeds": [0, 1, 2]}, "num_cells": 9},
        ),
        ("study.json", {"name": "a study", "about": HOSTILE[0], "paper": HOSTILE[2], "notes": HOSTILE}),
    ):
        (made.folder / name).write_text(json.dumps(content), encoding="utf-8")
    study = home / "leaderboards" / "shown" / "study"
    study.mkdir(parents=True)
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 200"><rect width="400" height="200"/></svg>'
    (study / "sweep-nll.svg").write_text(drawing)
    (study / "slopes.csv").write_text(f'series,slope\n"{HOSTILE[0].replace(chr(34), chr(34) * 2)}",1.5\n')
    write_site(build_board(made.folder, num_resamples=40), made.folder, study.parent)
    write_comparison(anatomy("careful", HOSTILE[0]), results=made.folder, out=study.parent)
    (home / "leaderboards" / "index.html").write_text(overview_page(home / "leaderboards"), encoding="utf-8")
    return home


def chosen_at_random(made: Results, label: str, seed: int) -> dict[str, Any]:
    """A selection of 72 of the 720 rows of the pool."""
    key = hashlib.sha256(f"{label} {seed}".encode("utf-8", "replace")).hexdigest()
    positions = np.random.default_rng(int(key[:8], 16)).permutation(720)[:72]
    return made.cell("x")["selection"] | {"key": f"selection/{key}", "positions": positions_as_text(positions)}


def anatomy(a: str, b: str, *, budget: str = "10%", text: str = "".join(HOSTILE[:4])) -> dict[str, Any]:
    """What `bench compare` could tell of two methods, with `text` wherever text can stand."""
    about = {"budget": budget, "seed": 0, "fidelity": "exact", "status": "done", "num_rows": 72}
    about |= {"num_response_tokens": 900, "trained_share": 0.5, "flops_of_selecting": 1e9}
    planted = {"num_rows": 9, "share": 0.125, "let_in": 0.1, "by_defect": {text: 9}}
    counts = {"a": [3.0, 1.0], "b": [0.0, 4.0], "share_a": [0.75, 0.25], "share_b": [0.0, 1.0]}
    row = {"id": text, "rank": 1, "instruction": text, "response": text * 3000, "planted": text}
    pair = {"item": text, "row": text, "cosine": 0.9, "item_text": text, "row_text": text}
    near = {"median": 0.5, "ninetieth": 0.7, "most": 0.9, "closest": [pair]}
    pieces = [(text, 0), (" ", None), ("plain", 1), (f"{text} end", 2), ("y" * 9000, 1), ("never shown", 0)]
    metric = {"metric": "exact-match", "bigger_is_better": True, "a": 0.7, "b": 0.2, "difference": 0.5}
    metric |= {"low": 0.4, "high": 0.6, "p": 0.001, "num_seeds": 3, "num_items": 60}
    return {
        "a": {"name": a, **about}, "b": {"name": b, **about},
        "overlap": {"num_common": 12, "num_a": 72, "num_b": 72, "jaccard": 12 / 132, "by_chance": 0.05,
                    "num_rows_of_pool": 720, "ranks": {"spearman": 0.25, "num_rows": 12, "p": 0.4}},
        "across_seeds": {"a": {"mean": 0.3, "by_chance": 0.05, "num_pairs": 3}, "b": None},
        "metrics": [metric], "planted": {"a": planted, "b": None},
        "histograms": {"response_words": {"bins": ["1", "2-3"], **counts, "median_a": 1, "median_b": 2},
                       "bands": {"bins": ["rare", "frequent"], **counts, "unit": "words"}, "source": None,
                       "cluster": {"bins": [text, "plain"], **counts}},
        "examples": {"only_a": {"num_rows": 60, "rows": [row]}, "only_b": {"num_rows": 60, "rows": [row, row]}},
        "near_duplicates": {"cosine": 0.85, "a": {"share": 0.1, "share_exact": 0.0, "num_rows": 72},
                            "b": {"share": 0.2, "share_exact": 0.1, "num_rows": 72}},
        "nearest_heldout": {"a": near, "b": near},
        "tokens": {"a": [{"id": text, "pieces": pieces}]},
        "missing": [text],
    }  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def new_results(tmp_path: Path) -> Callable[[str], Results]:
    """Further results folders, by name."""
    return lambda name: Results(tmp_path / name)
