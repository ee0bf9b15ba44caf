"""Scores of a whole file at its edges: models that always win, models without verdicts, the baseline itself."""

from __future__ import annotations

import pytest

from sftbench.judging.score import score_file
from sftbench.judging.scoring import Scoring

from .conftest import verdict

METRICS = {"win-rate": {}, "alpaca-lc": {"form": "minimal"}, "arena-style": {"control": ("length",)}}


def answers(model, preference, num=12):
    return [
        verdict(prompt, model, preference, length_model=80 + 7 * prompt % 31, length_baseline=100)
        for prompt in range(num)
    ]


def scored(path, metric, **more):
    wanted = Scoring(verdicts=path, metric=metric, **{**METRICS[metric], **more})
    return {row["model"]: row for row in score_file(wanted)}


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_that_always_wins_is_near_a_hundred(metric, verdicts):
    found = scored(verdicts(*answers("best", 1.0), *answers("middling", 0.4)), metric)
    assert found["best"]["score"] > 85
    assert list(found) == ["best", "middling"]


def test_the_official_length_control_of_a_model_that_always_wins(verdicts):
    (row,) = scored(verdicts(*answers("best", 1.0)), "alpaca-lc", mode="official").values()
    assert row["score"] > 85


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_without_a_verdict_has_no_score_and_stands_last(metric, verdicts):
    found = scored(verdicts(*answers("silent", None), *answers("judged", 0.4)), metric)
    assert list(found) == ["judged", "silent"]
    silent = found["silent"]
    assert (silent["score"], silent["ci_lo"], silent["ci_hi"]) == (None, None, None)
    assert (silent["num_prompts"], silent["num_missing"], silent["status"]) == (0, 12, "partial")


@pytest.mark.parametrize("metric", METRICS)
def test_the_baseline_against_itself_is_fifty(metric, verdicts):
    found = scored(verdicts(*answers("b", 0.5), *answers("m", 0.7)), metric)
    assert (found["b"]["score"], found["b"]["ci_lo"], found["b"]["ci_hi"]) == pytest.approx((50, 50, 50), abs=1e-9)
    assert found["m"]["score"] > 55


def test_too_few_verdicts_for_length_control_are_told(verdicts):
    (row,) = scored(verdicts(*answers("m", 0.7, num=4)), "alpaca-lc").values()
    assert row["score"] is None
    assert row["win_rate"] == pytest.approx(70)
    assert row["notes"] == "too_few_verdicts"


def test_the_same_seed_gives_the_same_bounds_and_another_does_not(verdicts):
    rows = [row | {"preference": row["id"] / 12} for row in answers("m", 0.0)]
    bounds = [scored(verdicts(*rows), "alpaca-lc", seed=seed)["m"]["ci_lo"] for seed in (0, 0, 1)]
    assert bounds[0] == bounds[1] != bounds[2]
