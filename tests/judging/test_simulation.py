"""Verdicts with a known truth: control finds it where the raw rate is biased, and symmetries hold to the digit."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench.judging.length_control import Answers, length_controlled, length_terms
from sftbench.judging.resampling import draw_prompts
from sftbench.judging.score import score_file
from sftbench.judging.scoring import Scoring

from .conftest import verdict

STRENGTHS = {"weak-long": -0.8, "even-long": 0.0, "even-short": 0.0, "good-short": 0.7}
EFFECT = 1.5


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def longer(draw, model, num):
    """Differences in length that overlap between models, with a mean that makes the raw rate wrong."""
    return draw.normal(60 if model.endswith("long") else -60, 90, num)


def lines(seed, num=400, models=STRENGTHS, difficulty=None):
    """Single verdicts, 0 or 1, of Bradley-Terry with an effect of length."""
    draw = np.random.default_rng(seed)
    for model, strength in models.items():
        gaps = longer(draw, model, num)
        # The scale of the metric: tanh of the difference over its standard deviation within the model.
        predictor = strength + EFFECT * np.tanh(gaps / gaps.std(ddof=1))
        predictor += 0 if difficulty is None else difficulty
        for prompt, (gap, chance) in enumerate(zip(gaps, sigmoid(predictor), strict=True)):
            yield verdict(
                prompt, model, float(draw.random() < chance), length_model=500 + round(gap), length_baseline=500
            )


def scores(path, **more):
    return {row["model"]: row for row in score_file(Scoring(verdicts=path, resamples=300, **more))}


def test_length_control_finds_the_truth_that_the_raw_rate_misses(verdicts):
    found = scores(verdicts(*lines(1)), metric="alpaca-lc", form="minimal")
    for model, strength in STRENGTHS.items():
        row, truth = found[model], 100 * sigmoid(strength)
        assert row["ci_lo"] < truth < row["ci_hi"]
        assert not row["win_rate_lo"] < truth < row["win_rate_hi"]
    assert found["even-long"]["win_rate"] > 60 > 40 > found["even-short"]["win_rate"]


def test_length_control_with_joint_difficulty_finds_the_truth(verdicts):
    draw = np.random.default_rng(5)
    models = {f"{n}-{'long' if n % 2 else 'short'}": strength for n, strength in enumerate(np.linspace(-1, 1, 12))}
    difficulty = draw.normal(size=300)
    found = scores(verdicts(*lines(2, 300, models, difficulty)), metric="alpaca-lc")
    truths = {model: 100 * sigmoid(strength + difficulty).mean() for model, strength in models.items()}
    assert {row["form"] for row in found.values()} == {"joint"}
    inside = [found[model]["ci_lo"] < truth < found[model]["ci_hi"] for model, truth in truths.items()]
    raw = [found[model]["win_rate_lo"] < truth < found[model]["win_rate_hi"] for model, truth in truths.items()]
    assert sum(inside) >= 11
    assert sum(raw) <= 3


def test_the_interval_of_length_control_holds_the_truth_as_often_as_it_says():
    """95 % of 150 simulations, give or take three standard deviations of that share.

    Each has draws of its own: with the same draws for all, the error of these few draws would not average out.
    """
    draw = np.random.default_rng(11)
    inside, num, simulations = 0, 150, 150
    for simulation in range(simulations):
        gaps = draw.normal(50, 90, num)
        chances = sigmoid(-0.4 + EFFECT * length_terms(gaps))
        answers = Answers(
            preferences=(draw.random(num) < chances).astype(float), length_differences=-gaps, difficulties=None
        )
        rate = length_controlled(answers, None, mode="paper", draws=draw_prompts(num, 300, simulation)).rate
        inside += rate.low < sigmoid(-0.4) < rate.high
    assert inside / simulations == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / simulations) ** 0.5)


def arena_lines(seed, num=300):
    """Two games for each answer; lengths of the four models average out over all battles."""
    draw = np.random.default_rng(seed)
    for model, strength in STRENGTHS.items():
        lengths = np.maximum(500 + longer(draw, model, num), 20).round().astype(int)
        chances = sigmoid(strength + 6 * (lengths - 500) / (lengths + 500))
        for prompt, (length, chance) in enumerate(zip(lengths.tolist(), chances, strict=True)):
            first, second = draw.random(2) < chance
            yield verdict(
                prompt, model, None, length_model=length, length_baseline=500,
                baseline_first="B>A" if first else "A>B", model_first="A>B" if second else "B>A",
            )  # fmt: skip


def test_style_control_finds_the_truth_that_the_raw_score_misses(verdicts):
    found = scores(verdicts(*arena_lines(3)), metric="arena-style", control=("length",))
    for model, strength in STRENGTHS.items():
        row, truth = found[model], 100 * sigmoid(strength)
        assert row["ci_lo"] < truth < row["ci_hi"]
        assert not row["raw_lo"] < truth < row["raw_hi"]


def test_answers_of_equal_style_are_told_apart_from_the_average_style(verdicts):
    """All models write long: the published score is at the mean difference, `equal_style` is at none."""
    rows = [row | {"model": row["model"].replace("short", "brief")} for row in arena_lines(4)]
    long = [row for row in rows if row["model"].endswith("long")]
    found = scores(verdicts(*long), metric="arena-style", control=("length",))
    for model in ("weak-long", "even-long"):
        truth = 100 * sigmoid(STRENGTHS[model])
        assert found[model]["equal_style"] == pytest.approx(truth, abs=6)
        assert found[model]["score"] > truth + 5


def test_shuffled_labels_give_fifty(verdicts):
    draw = np.random.default_rng(8)
    rows = [
        row if draw.random() < 0.5 else row | {"preference": 1 - row["preference"]}
        for row in lines(6, 400, {"even-long": 1.0})
    ]
    for metric, more in (
        ("win-rate", {}),
        ("alpaca-lc", {"form": "minimal"}),
        ("arena-style", {"control": ("length",)}),
    ):
        row = scores(verdicts(*rows), metric=metric, **more)["even-long"]
        assert row["ci_lo"] < 50 < row["ci_hi"]
        assert row["score"] == pytest.approx(50, abs=10)


def swapped(rows):
    """The same games, told of the baseline: the game in which the model was A is that in which the baseline is A."""
    for row in rows:
        more = {}
        if "model_first" in row:
            more = {"baseline_first": row["model_first"], "model_first": row["baseline_first"]}
        yield row | more | {
            "preference": None if row["preference"] is None else 1 - row["preference"],
            "length_model": row["length_baseline"], "length_baseline": row["length_model"],
        }  # fmt: skip


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_swapping_model_and_baseline_gives_the_rest_to_a_hundred(verdicts, mode):
    rows = list(lines(7, 200, {"weak-long": -0.8}))
    more = {"resamples": 300} if mode == "paper" else {}
    for metric in ("win-rate", "alpaca-lc"):
        one, other = (
            score_file(Scoring(verdicts=verdicts(*each), metric=metric, mode=mode, **more))[0]
            for each in (rows, list(swapped(rows)))
        )
        # liblinear stops within its tolerance of the optimum, and not at the mirrored point.
        assert one["score"] + other["score"] == pytest.approx(100, abs=1e-5 if mode == "paper" else 0.05)
        if mode == "paper":
            assert one["ci_lo"] + other["ci_hi"] == pytest.approx(100, abs=1e-4)


def test_swapping_the_games_gives_the_rest_to_a_hundred(verdicts):
    rows = [row for row in arena_lines(9, 150) if row["model"] == "weak-long"]
    one, other = (
        scores(verdicts(*each), metric="arena-style", control=("length",))["weak-long"]
        for each in (rows, list(swapped(rows)))
    )
    for column in ("score", "raw", "plain", "equal_style"):
        assert one[column] + other[column] == pytest.approx(100, abs=1e-5)


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_identical_answers_give_fifty(verdicts, mode):
    rows = [verdict(prompt, "same", 0.5, length_model=70 + prompt, length_baseline=70 + prompt) for prompt in range(40)]
    for metric in ("win-rate", "alpaca-lc"):
        (row,) = score_file(Scoring(verdicts=verdicts(*rows), metric=metric, mode=mode))
        assert (row["score"], row["ci_lo"], row["ci_hi"]) == pytest.approx((50, 50, 50), abs=1e-6)
    (row,) = score_file(Scoring(verdicts=verdicts(*rows), metric="arena-style", control=("length",)))
    assert (row["score"], row["raw"], row["w_length"]) == pytest.approx((50, 50, 0), abs=1e-6)


def test_filler_moves_the_raw_rate_more_than_the_controlled_one(verdicts):
    """The judge likes length; the same answers with filler win more often, at unchanged quality."""
    draw = np.random.default_rng(10)
    gaps, ranks = draw.normal(0, 90, 500), draw.random(500)

    def padded(filler):
        # Filler of varying length, so that its effect can be told from the model's strength.
        new = gaps + filler * draw.uniform(0.5, 1.5, 500)
        won = ranks < sigmoid(-0.3 + EFFECT * np.tanh(new / 90))
        return [
            verdict(n, "m", float(win), length_model=900 + round(gap), length_baseline=900)
            for n, (gap, win) in enumerate(zip(new, won, strict=True))
        ]

    before, after = (scores(verdicts(*padded(filler)), metric="alpaca-lc")["m"] for filler in (0, 80))
    assert after["win_rate"] - before["win_rate"] > 10
    assert abs(after["score"] - before["score"]) < 0.5 * (after["win_rate"] - before["win_rate"])
