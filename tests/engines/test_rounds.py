"""Training in rounds: real continued training on one model, the same again after a kill, and told as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from sftbench.engines.training.fine_tune import fine_tune
from sftbench.engines.training.optimizer import learning_rate_share
from sftbench.engines.training.rounds import Rounds
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import TrainingSettings
from sftbench.errors import UsageError

SETTINGS = TrainingSettings(learning_rate=1e-2, epochs=2, batch_size=5, weight_decay=0.1)


def cross_entropy(model: Any, row: TrainingRow) -> torch.Tensor:
    """Of the trained tokens of a row."""
    ids = torch.from_numpy(row.token_ids).long()
    losses = torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="none")
    return losses[torch.from_numpy(row.ce_weights[1:] > 0)]


def in_rounds(trial: Any, desk: Any, *, counts: tuple[int, ...], **more: Any) -> Rounds:
    rounds = Rounds(more.pop("settings", SETTINGS), desk, **more)
    for number, count in enumerate(counts):
        rounds.train(trial.rows(count, seed=number))
    return rounds


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("keeps_optimizer", [True, False])
def test_one_round_is_plain_fine_tuning_bit_for_bit(
    trial: Any, tmp_path: Path, rank: int, keeps_optimizer: bool
) -> None:
    settings = replace(SETTINGS, rank=rank)
    fine_tune(trial.rows(), settings=settings, desk=trial.desk("plain"), out=tmp_path / "plain")
    rounds = Rounds(settings, trial.desk("rounds"), keeps_optimizer=keeps_optimizer)
    rounds.train(trial.rows())
    finished = rounds.finish(tmp_path / "rounds")
    trial.assert_same(tmp_path / "plain", tmp_path / "rounds")
    assert finished.base_path == (trial.base if rank else None)


@pytest.mark.parametrize("keeps_optimizer", [True, False])
def test_rounds_are_one_training_written_out_as_a_loop(trial: Any, tmp_path: Path, keeps_optimizer: bool) -> None:
    settings = replace(SETTINGS, schedule="cosine", warmup_share=0.2, weight_decay=0.0)
    rounds = in_rounds(
        trial, trial.desk(), counts=(7, 6, 3), settings=settings, num_steps=12, keeps_optimizer=keeps_optimizer
    )
    rounds.finish(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(trial.base).train()
    optimizer, done = torch.optim.AdamW(model.parameters(), weight_decay=0.0), 0
    for job in rounds.jobs:
        if not keeps_optimizer:
            optimizer, done = torch.optim.AdamW(model.parameters(), weight_decay=0.0), 0
        for step in range(job.plan.num_steps):
            num_steps = 12 if keeps_optimizer else job.plan.num_steps
            share = learning_rate_share(done, num_steps=num_steps, settings=settings)
            for group in optimizer.param_groups:
                group["lr"] = 1e-2 * share
            optimizer.zero_grad()
            torch.cat([cross_entropy(model, job.rows[index]) for index in job.plan.batch(step)]).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            done += 1
    model.save_pretrained(tmp_path / "loop")
    trial.assert_same(tmp_path / "loop", tmp_path / "out", within=2e-4)


def test_the_state_of_the_optimiser_makes_a_difference(trial: Any, tmp_path: Path) -> None:
    for name, keeps in (("kept", True), ("fresh", False)):
        settings = replace(SETTINGS, schedule="constant", warmup_share=0.0)
        rounds = in_rounds(trial, trial.desk(name), counts=(6, 6), settings=settings, keeps_optimizer=keeps)
        rounds.finish(tmp_path / name)
    with pytest.raises(AssertionError):
        trial.assert_same(tmp_path / "kept", tmp_path / "fresh", within=1e-4)


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("kill_after", [2, 5, 7])
def test_killed_in_any_round_it_goes_on_to_the_same_model(
    trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int, kill_after: int
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    settings, counts = replace(SETTINGS, rank=rank), (7, 6, 4)
    whole = in_rounds(trial, trial.desk("whole"), counts=counts, settings=settings)
    whole.finish(tmp_path / "whole")
    with pytest.raises(trial.killed):
        in_rounds(trial, trial.desk("killed", kill_after=kill_after), counts=counts, settings=settings)
    desk = trial.desk("killed")
    again = in_rounds(trial, desk, counts=counts, settings=settings)
    again.finish(tmp_path / "again")
    trial.assert_same(tmp_path / "whole", tmp_path / "again")
    for one, other in zip(whole.done, again.done, strict=True):
        assert one.report == other.report
        np.testing.assert_array_equal(one.losses, other.losses)
    assert desk.metered == whole.desk.metered


def test_rounds_that_ended_are_not_trained_again(trial: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_rounds(trial, trial.desk(), counts=(7, 6))

    def refuse(*_given: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("sftbench.engines.training.rounds.carried_out", refuse)
    in_rounds(trial, trial.desk(), counts=(7, 6))
    with pytest.raises(AssertionError, match="trained again"):
        in_rounds(trial, trial.desk(seed=1), counts=(7, 6))


def test_the_losses_of_a_round_are_those_seen_before_the_update(trial: Any) -> None:
    rows = trial.rows(7)
    one_epoch = replace(SETTINGS, epochs=1, batch_size=7)
    seen = Rounds(one_epoch, trial.desk()).train(rows)
    expected = [np.mean(trial.losses(trial.base, row)[3:]) for row in rows.rows]
    np.testing.assert_allclose(seen.losses, expected, rtol=1e-5)
    assert seen.num_steps == 1


def test_the_losses_of_a_round_are_the_last_ones_and_missing_for_a_row_that_was_not_seen(trial: Any) -> None:
    rows = trial.rows(6)
    halfway = Rounds(replace(SETTINGS, epochs=0.5, batch_size=3), trial.desk("half")).train(rows)
    assert int(np.isnan(halfway.losses).sum()) == 3
    twice = Rounds(replace(SETTINGS, epochs=2, batch_size=6), trial.desk("twice")).train(rows)
    once = Rounds(replace(SETTINGS, epochs=1, batch_size=6), trial.desk("once")).train(rows)
    assert (twice.losses < once.losses).all()


def test_one_state_is_kept_between_rounds_and_nothing_is_a_pickle(trial: Any, tmp_path: Path) -> None:
    rounds = in_rounds(trial, trial.desk(), counts=(5, 5, 5))
    rounds.finish(tmp_path / "out")
    assert [path.name for path in rounds.folder.glob("state*")] == ["state-2.safetensors"]
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".safetensors", ".json"}


def test_nothing_is_finished_before_the_first_round(trial: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no round"):
        Rounds(SETTINGS, trial.desk()).finish(tmp_path / "out")


def test_the_report_tells_of_all_rounds(trial: Any, tmp_path: Path) -> None:
    report = in_rounds(trial, trial.desk(), counts=(7, 6)).finish(tmp_path / "out").report
    assert report["num_rounds"] == 2
    assert report["num_steps"] == 8
    assert len(report["loss_by_round"]) == 2  # type: ignore[arg-type]


def test_an_exponential_schedule_falls_by_steps_and_needs_no_end() -> None:
    settings = TrainingSettings(schedule="exponential", warmup_share=0.0)
    share: Callable[[int], float] = lambda step: learning_rate_share(step, num_steps=5, settings=settings)  # noqa: E731
    assert [share(step) for step in (0, 7, 8, 15, 16, 800)] == pytest.approx([1, 1, 0.995, 0.995, 0.995**2, 0.995**100])


def test_a_step_beyond_the_expected_ones_has_the_last_learning_rate() -> None:
    for schedule in ("linear", "cosine"):
        settings = TrainingSettings(schedule=schedule)  # type: ignore[arg-type]
        last = learning_rate_share(9, num_steps=10, settings=settings)
        assert learning_rate_share(30, num_steps=10, settings=settings) == last > 0
