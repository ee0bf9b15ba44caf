"""Weights that are settled at the step: which tokens are kept, what a mean is over, that cutting changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from sftbench.engines.training.fine_tune import fine_tune
from sftbench.engines.training.job import Job
from sftbench.engines.training.processes import run_in_processes
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.run import run
from sftbench.engines.training.settings import TrainingSettings, Weighing
from sftbench.engines.training.weighing import weighed
from sftbench.rooms import Ragged, TrainedModel

SETTINGS = TrainingSettings(learning_rate=1e-2, epochs=2, batch_size=5)
LIVE = Weighing(keep=0.6, live=True)


def best(scores: dict[tuple[int, int], float], share: float) -> set[tuple[int, int]]:
    """The best of (row, token), ties to the earlier, at least one."""
    ranked = sorted(scores, key=lambda at: (-scores[at], at))
    return set(ranked[: max(1, int(share * len(ranked)))])


def kept(rows: list[TrainingRow]) -> set[tuple[int, int]]:
    return {(number, int(at)) for number, row in enumerate(rows) for at in np.flatnonzero(row.ce_weights)}


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("scope", ["batch", "sample"])
def test_the_best_tokens_of_a_batch_or_of_each_sample_are_kept(trial: Any, live: bool, scope: Any) -> None:
    rows = trial.rows(6, merits=True).rows
    random = np.random.default_rng(1)
    losses = [random.normal(size=len(row)).astype(np.float32) for row in rows] if live else None
    made = weighed(rows, Weighing(keep=0.6, live=live, scope=scope), losses)
    scores = {
        (number, at): float(row.merits[at] + (losses[number][at] if losses else 0))
        for number, row in enumerate(rows)
        for at in range(3, len(row))
    }
    if scope == "batch":
        expected = best(scores, 0.6)
    else:
        of_row = [{at: score for at, score in scores.items() if at[0] == number} for number in range(6)]
        expected = set().union(*(best(each, 0.6) for each in of_row))
    assert kept(made) == expected


def test_a_token_without_a_finite_merit_is_never_kept_and_does_not_count(trial: Any) -> None:
    (row,) = trial.rows(1, merits=True).rows
    row.merits[3:5] = np.nan
    (made,) = weighed([row], Weighing(keep=1.0, scope="sample"))
    assert np.flatnonzero(made.ce_weights).tolist() == list(range(5, len(row)))


def test_a_row_of_one_token_keeps_it_in_a_sample() -> None:
    row = TrainingRow(
        token_ids=np.zeros(4, np.int32),
        ce_weights=np.array([0, 0, 0, 1], np.float32),
        kd_weights=np.zeros(4, np.float32),
    )
    (made,) = weighed([row], Weighing(keep=0.6, scope="sample"))
    assert made.ce_weights.tolist() == [0, 0, 0, 1]


def test_keeping_all_tokens_is_plain_fine_tuning_bit_for_bit(trial: Any, tmp_path: Path) -> None:
    for rank in (0, 2):
        settings = TrainingSettings(learning_rate=1e-2, epochs=2, batch_size=5, rank=rank)
        plain = fine_tune(trial.rows(), settings=settings, desk=trial.desk(f"p{rank}"), out=tmp_path / f"plain-{rank}")
        live = fine_tune(
            trial.rows(), settings=settings, desk=trial.desk(f"l{rank}"), out=tmp_path / f"live-{rank}",
            weighing=Weighing(keep=1.0, live=True),
        )  # fmt: skip
        trial.assert_same(tmp_path / f"plain-{rank}", tmp_path / f"live-{rank}")
        assert live.report == plain.report


def test_without_a_reference_the_tokens_of_highest_loss_are_trained(trial: Any, tmp_path: Path) -> None:
    rows, used = trial.rows(5), []
    settings = TrainingSettings(learning_rate=1e-2, batch_size=5, max_steps=1)
    trained = fine_tune(
        rows, settings=settings, desk=trial.desk(), out=tmp_path / "out", weighing=LIVE, watch=used.append
    )
    losses = {
        (number, at): float(value)
        for number, row in enumerate(rows.rows)
        for at, value in enumerate(trial.losses(trial.base, row))
        if at >= 3
    }
    expected = best(losses, 0.6)
    (uses,) = used
    assert isinstance(uses, Ragged)
    assert {(number, int(at)) for number, of_row in enumerate(uses) for at in np.flatnonzero(of_row)} == expected
    assert trained.report["num_response_tokens_trained"] == len(expected)
    assert trained.report["final_loss"] == pytest.approx(np.mean([losses[at] for at in expected]), rel=1e-5)


def test_excess_over_a_reference_decides_and_is_looked_at_anew_at_every_step(trial: Any, tmp_path: Path) -> None:
    rows, used = trial.rows(5, merits=True), []
    settings = TrainingSettings(learning_rate=3e-2, batch_size=5, max_steps=2, warmup_share=0, schedule="constant")
    first = TrainingSettings(**{**vars(settings), "max_steps": 1})
    fine_tune(rows, settings=first, desk=trial.desk("a"), out=tmp_path / "first", weighing=LIVE)
    fine_tune(rows, settings=settings, desk=trial.desk("b"), out=tmp_path / "both", weighing=LIVE, watch=used.append)
    chosen = []
    for model in (trial.base, tmp_path / "first"):
        losses = [trial.losses(model, row) for row in rows.rows]
        scores = {
            (number, at): float(losses[number][at] + row.merits[at])
            for number, row in enumerate(rows.rows)
            for at in range(3, len(row))
        }
        chosen.append(best(scores, 0.6))
    for number, of_row in enumerate(used[0]):
        assert of_row.tolist() == [sum((number, at) in each for each in chosen) for at in range(len(of_row))]
    assert chosen[0] != chosen[1]


def test_neither_micro_batches_nor_padding_change_what_is_chosen_or_learnt(trial: Any, tmp_path: Path) -> None:
    used = []
    for name, tokens in (("one", 1), ("many", 10_000)):
        settings = TrainingSettings(learning_rate=1e-3, epochs=2, batch_size=6, micro_batch_tokens=tokens)
        fine_tune(
            trial.rows(merits=True), settings=settings, desk=trial.desk(name), out=tmp_path / name,
            weighing=Weighing(keep=0.6, live=True), watch=used.append,
        )  # fmt: skip
    assert used[0].values.tolist() == used[1].values.tolist()
    trial.assert_same(tmp_path / "one", tmp_path / "many", within=2e-5)


@pytest.mark.parametrize("weighing", [LIVE, Weighing(keep=0.5, scope="sample"), Weighing(rows_per_mean=2)])
def test_a_killed_training_goes_on_with_the_same_weights(
    trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weighing: Weighing
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    used: list[Ragged] = []

    def train(desk: Any, out: str) -> TrainedModel:
        rows = trial.rows(merits=True)
        return fine_tune(rows, settings=SETTINGS, desk=desk, out=tmp_path / out, weighing=weighing, watch=used.append)

    whole = train(trial.desk("whole"), "whole")
    with pytest.raises(trial.killed):
        train(trial.desk("killed", kill_after=4), "resumed")
    resumed = train(trial.desk("killed"), "resumed")
    trial.assert_same(tmp_path / "whole", tmp_path / "resumed")
    assert resumed.report == whole.report
    assert used[0].values.tolist() == used[1].values.tolist()


def test_a_mean_of_means_is_that_of_groups_of_rows(trial: Any) -> None:
    rows = trial.rows(5).rows
    made = weighed(rows, Weighing(rows_per_mean=2))
    model = AutoModelForCausalLM.from_pretrained(trial.base)

    def losses(row: TrainingRow) -> torch.Tensor:
        ids = torch.from_numpy(row.token_ids).long()
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:], reduction="none")

    means = [torch.cat([losses(row)[2:] for row in rows[start : start + 2]]).mean() for start in (0, 2, 4)]
    sums = [(losses(row) * torch.from_numpy(row.ce_weights[1:])).sum() for row in made]
    total = sum(float(row.ce_weights.sum()) for row in made)
    assert float(sum(sums)) / total == pytest.approx(float(sum(means)) / 3, rel=1e-5)


def test_groups_without_a_term_take_no_part_in_its_mean(trial: Any) -> None:
    first, second = trial.rows(2).rows
    distilled = TrainingRow(
        token_ids=second.token_ids, ce_weights=0 * second.ce_weights, kd_weights=second.ce_weights.copy()
    )
    made = weighed([first, distilled], Weighing(rows_per_mean=1))
    assert [float(row.ce_weights.sum()) for row in made] == pytest.approx([1, 0])
    assert [float(row.kd_weights.sum()) for row in made] == pytest.approx([0, 1])


def test_ranking_at_every_step_costs_one_more_forward_pass(trial: Any, tmp_path: Path) -> None:
    plain, live = trial.desk("plain"), trial.desk("live")
    fine_tune(trial.rows(), settings=SETTINGS, desk=plain, out=tmp_path / "plain")
    fine_tune(trial.rows(), settings=SETTINGS, desk=live, out=tmp_path / "live", weighing=LIVE)
    assert live.metered["tokens_forward"] == 2 * plain.metered["tokens_forward"]
    assert live.metered["flops"] == pytest.approx(plain.metered["flops"] * 4 / 3)


@pytest.mark.parametrize(("name", "value"), [("keep", 0.0), ("keep", 1.1), ("rows_per_mean", 0)])
def test_a_weighing_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Weighing(**{name: value})  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_processes_choose_and_learn_as_one(trial: Any, tmp_path: Path) -> None:
    found = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        # 9 rows in batches of 4: the last step has fewer rows than processes.
        job = Job(
            rows=trial.rows(9, merits=True).rows,
            settings=TrainingSettings(learning_rate=1e-3, epochs=1, batch_size=4),
            seed=0,
            base=TrainedModel(path=trial.base),
            out=tmp_path / name / "out",
            scratch=tmp_path / name,
            weighing=Weighing(keep=0.6, live=True, rows_per_mean=3),
        )
        found[name] = (
            run(job, advance=print) if name == "one" else run_in_processes(job, num_processes=2, advance=print)
        )
    trial.assert_same(tmp_path / "one" / "out", tmp_path / "two" / "out", within=2e-5)
    assert found["one"].uses.tolist() == found["two"].uses.tolist()
    for what in ("sums", "visits"):
        torch.testing.assert_close(
            *(getattr(found[name], what) for name in found), rtol=1e-4, atol=1e-5, equal_nan=True
        )
