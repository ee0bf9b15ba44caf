"""Steps, micro-batches, learning rate and settings: what is trained when."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sftbench.engines.training.optimizer import learning_rate_share
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import Distillation, TrainingSettings
from sftbench.engines.training.steps import TrainingPlan


def rows(count: int) -> tuple[TrainingRow, ...]:
    random = np.random.default_rng(1)
    lengths = random.integers(2, 90, count)
    zeros = [np.zeros(length, dtype=np.float32) for length in lengths]
    return tuple(TrainingRow(token_ids=each.astype(np.int32), ce_weights=each + 1, kd_weights=each) for each in zeros)


def plan(count: int, *, seed: int = 0, **settings: object) -> TrainingPlan:
    return TrainingPlan(rows=rows(count), settings=TrainingSettings(**settings), seed=seed)  # type: ignore[arg-type]


def test_every_epoch_sees_every_row_once_in_another_order() -> None:
    made = plan(21, epochs=2, batch_size=4)
    assert made.num_steps == 12
    epochs = [np.concatenate([made.batch(step) for step in range(start, start + 6)]).tolist() for start in (0, 6)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(21))
    assert epochs[0] != epochs[1]


def test_the_order_depends_on_the_seed_alone() -> None:
    first, again, other = plan(30, seed=1), plan(30, seed=1, micro_batch_tokens=50), plan(30, seed=2)
    assert first.batch(1).tolist() == again.batch(1).tolist() != other.batch(1).tolist()


@pytest.mark.parametrize(("settings", "expected"), [
    ({"epochs": 1}, 3), ({"epochs": 0.5}, 2), ({"epochs": 0.1}, 1), ({"epochs": 1, "min_steps": 8}, 8),
    ({"epochs": 5, "max_steps": 4}, 4),
])  # fmt: skip
def test_the_number_of_steps_follows_epochs_within_its_bounds(settings: dict[str, float], expected: int) -> None:
    made = plan(40, batch_size=16, **settings)
    assert made.num_steps == expected
    assert len(made.batch(expected - 1)) > 0


@pytest.mark.parametrize("world_size", [1, 3])
def test_micro_batches_of_all_processes_are_the_global_batch(world_size: int) -> None:
    made = plan(50, batch_size=20, micro_batch_tokens=200)
    for step in range(3):
        shares = [made.micro_batches(step, rank=rank, world_size=world_size) for rank in range(world_size)]
        spread = [index for groups in shares for group in groups for index in group]
        assert sorted(spread) == sorted(made.batch(step).tolist())


def test_micro_batches_stay_within_tokens_and_padding() -> None:
    made = plan(64, batch_size=64, micro_batch_tokens=300)
    for group in made.micro_batches(0):
        lengths = [len(made.rows[index]) for index in group]
        assert len(group) == 1 or max(lengths) * len(group) <= 300
        assert len(lengths) * max(lengths) - sum(lengths) <= 64


def test_normalisers_are_the_weights_of_the_global_batch() -> None:
    made = plan(10, batch_size=4)
    expected = sum(float(made.rows[index].ce_weights.sum()) for index in made.batch(1))
    assert made.normalisers(1) == (expected, 0.0)


def test_the_learning_rate_rises_from_above_zero_and_falls_towards_zero() -> None:
    for schedule, middle in (("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)):
        settings = TrainingSettings(schedule=schedule, warmup_share=0.1)  # type: ignore[arg-type]
        shares = [learning_rate_share(step, num_steps=110, settings=settings) for step in range(110)]
        assert 0 < shares[0] < shares[1] < shares[10] < shares[11] == 1.0
        assert shares[11 + 99 // 2] == pytest.approx(middle, abs=0.01)
        assert shares[-1] > 0


def test_half_a_cosine_is_followed_exactly() -> None:
    settings = TrainingSettings(warmup_share=0)
    found = [learning_rate_share(step, num_steps=4, settings=settings) for step in range(4)]
    assert found == pytest.approx([1, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 - math.cos(math.pi / 4)) / 2])


def test_the_usual_learning_rate_depends_on_the_mode() -> None:
    assert TrainingSettings().peak_learning_rate == 2e-5
    assert TrainingSettings(rank=8).peak_learning_rate == 1e-4
    assert TrainingSettings(rank=8, learning_rate=3e-3).peak_learning_rate == 3e-3


def test_the_default_learning_rate_grows_as_models_get_smaller_up_to_a_limit():
    assert TrainingSettings().for_model(8e9).learning_rate == 2e-5
    assert TrainingSettings().for_model(1e9 / 100).learning_rate == pytest.approx(2e-4)
    assert TrainingSettings(rank=8).for_model(1e5).learning_rate == 1e-3
    assert TrainingSettings(learning_rate=3e-3).for_model(1e5).learning_rate == 3e-3


@pytest.mark.parametrize("settings", [
    {"epochs": 0}, {"epochs": math.nan}, {"batch_size": 0}, {"learning_rate": -1.0}, {"rank": -1}, {"dropout": 1.0},
    {"warmup_share": 1.5}, {"min_steps": 0}, {"min_steps": 5, "max_steps": 4}, {"clip_norm": -1.0},
])  # fmt: skip
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainingSettings(**settings)  # type: ignore[arg-type]


def test_a_distillation_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        Distillation(teacher="base", cross_entropy_share=1.2)
    with pytest.raises(ValueError, match="temperature"):
        Distillation(teacher="base", temperature=0)
