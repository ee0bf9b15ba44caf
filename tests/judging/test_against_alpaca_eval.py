"""The length-controlled win rate of the package `alpaca-eval` itself, run here, and ours: the same on real verdicts."""

from __future__ import annotations

import json
import os
import warnings
from importlib.util import find_spec

import pandas
import pytest

from sftbench.judging.score import score_file
from sftbench.judging.scoring import Scoring

from .conftest import write_lines

pytestmark = pytest.mark.reference
MODELS = 2
"""How many of the reference models: each is a cross-validation in their code."""


@pytest.fixture
def theirs(alpaca_folder, monkeypatch):
    """Their metric, which fetches the gamed baselines from the hub at each call; here it gets the stand-in."""
    if find_spec("alpaca_eval") is None and os.environ.get("CI") != "true":
        pytest.skip("the extra sftbench[alpaca-eval] is not installed")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pkg_resources is deprecated")
        from alpaca_eval.metrics import glm_winrate

    monkeypatch.setattr(glm_winrate, "hf_hub_download", lambda **wanted: str(alpaca_folder / "df_gamed_standin.csv"))

    def metric(row, form):
        """From preferences of 1 to 2, and answers as long as they were."""
        table = pandas.DataFrame(
            {
                "preference": row["preference"],
                "index": range(len(row["preference"])),
                "output_1": ["x" * length for length in row["len_baseline"]],
                "output_2": ["x" * length for length in row["len_model"]],
                "generator_1": "gpt4_1106_preview",
                "generator_2": row["id"],
                "annotator": "a",
            }
        )
        with warnings.catch_warnings():
            # Of newer versions of what it is built on.
            warnings.simplefilter("ignore")
            return glm_winrate.get_length_controlled_winrate(
                table, glm_name=f"length_controlled_{form}", save_weights_dir=None
            )

    return metric


@pytest.mark.parametrize("form", ["v1", "noreg", "minimal"])
def test_the_package_and_we_give_the_same_score(form, theirs, alpaca_folder, tmp_path):
    lines = (alpaca_folder / "input.jsonl").read_text().splitlines()[:MODELS]
    rows = [json.loads(line) for line in lines]
    path = write_lines(tmp_path / "verdicts.jsonl", [
        {"id": at, "model": row["id"], "baseline": "gpt4_1106_preview", "preference": preference - 1,
         "length_model": mine, "length_baseline": their}
        for row in rows
        for at, (preference, mine, their) in enumerate(
            zip(row["preference"], row["len_model"], row["len_baseline"], strict=True)
        )
    ])  # fmt: skip
    noreg = {"difficulty": alpaca_folder / "instruction_difficulty.csv"}
    v1 = {**noreg, "gamed": alpaca_folder / "df_gamed_standin.csv"}
    wanted = {"v1": v1, "noreg": noreg, "minimal": {}}[form]
    scored = score_file(Scoring(verdicts=path, metric="alpaca-lc", mode="official", form=form, **wanted))
    ours = {each["model"]: each for each in scored}
    assert len(ours) == MODELS
    for row in rows:
        expected = theirs(row, form)
        assert ours[row["id"]]["score"] == pytest.approx(expected["length_controlled_winrate"], abs=1e-6)
        assert ours[row["id"]]["win_rate"] == pytest.approx(expected["win_rate"], abs=1e-6)
        assert ours[row["id"]]["standard_error"] == pytest.approx(expected["lc_standard_error"], abs=1e-6)
