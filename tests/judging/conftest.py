"""Files of verdicts for tests: made up ones, and the reference rows in our form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def verdict(prompt=0, model="m", preference=0.5, **more):
    return {"id": prompt, "model": model, "baseline": "b", "preference": preference, **more}


@pytest.fixture
def verdicts(tmp_path):
    """Writes a file of verdicts from dictionaries."""

    def write(*rows, name="verdicts.jsonl"):
        return write_lines(tmp_path / name, rows)

    return write


@pytest.fixture(scope="session")
def alpaca_folder(reference_data) -> Path:
    return reference_data / "golden" / "alpacaeval2"


@pytest.fixture(scope="session")
def arena_folder(reference_data) -> Path:
    return reference_data / "golden" / "arena_hard"


def alpaca_lines(path, baseline="gpt4_1106_preview"):
    """AlpacaEval's reference rows: one line a model there, one line a verdict here, preferences from 1..2 to 0..1."""
    for text in path.read_text().splitlines():
        row = json.loads(text)
        places = row.get("index", range(len(row["preference"])))
        lengths = zip(row["preference"], row["len_model"], row["len_baseline"], strict=True)
        for place, (preference, length_model, length_baseline) in zip(places, lengths, strict=True):
            yield {
                "id": place, "model": row["id"], "baseline": baseline, "preference": preference - 1,
                "length_model": length_model, "length_baseline": length_baseline,
            }  # fmt: skip


def arena_lines(path, baseline):
    """Arena-Hard's reference rows."""

    def style(found):
        names = {"headers": "header_count", "lists": "list_count", "bolds": "bold_count"}
        return {ours: sum(found[theirs].values()) for ours, theirs in names.items()}

    for text in path.read_text().splitlines():
        row = json.loads(text)
        yield {
            "id": row["uid"], "model": row["model"], "baseline": baseline,
            "baseline_first": row["game0_baseline_is_A"], "model_first": row["game1_model_is_A"],
            "length_model": row["style_model"]["token_len"], "length_baseline": row["style_baseline"]["token_len"],
            "style_model": style(row["style_model"]), "style_baseline": style(row["style_baseline"]),
        }  # fmt: skip


@pytest.fixture(scope="session")
def alpaca_file(alpaca_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("alpaca") / "verdicts.jsonl"
    return write_lines(path, alpaca_lines(alpaca_folder / "input.jsonl"))


@pytest.fixture(scope="session")
def alpaca_missing_file(alpaca_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("alpaca-missing") / "verdicts.jsonl"
    return write_lines(path, alpaca_lines(alpaca_folder / "missing_input.jsonl"))


@pytest.fixture(scope="session")
def arena_expected(arena_folder):
    return json.loads((arena_folder / "expected.json").read_text())


@pytest.fixture(scope="session")
def arena_file(arena_folder, arena_expected, tmp_path_factory):
    path = tmp_path_factory.mktemp("arena") / "verdicts.jsonl"
    return write_lines(path, arena_lines(arena_folder / "input.jsonl", arena_expected["baseline"]))
