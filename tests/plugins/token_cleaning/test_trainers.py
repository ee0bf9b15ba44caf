"""Training on labels, and cleaning by the model in training, against plain fine-tuning and the rule written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sftbench_plugins.token_cleaning as plugin
from sftbench import Needs, Ragged, Selection, UsageError
from sftbench.parameters import build
from sftbench_plugins.sft.trainer import Sft
from sftbench_plugins.token_cleaning.evolving import Evolving
from sftbench_plugins.token_cleaning.selector import TokenCleaning
from sftbench_plugins.token_cleaning.trainer import Masked

QUICK: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 4}


def labels_of(pool: Any, desk: Any, value: Any) -> Ragged:
    return Ragged.of([np.full(count, value(at)) for at, count in enumerate(desk.training_tokens())], np.uint8)


def test_the_plugin_offers_its_methods_with_their_parts() -> None:
    assert plugin.sftbench_selectors() == [TokenCleaning]
    assert plugin.sftbench_trainers() == [Evolving, Masked]
    fixed, evolving = plugin.sftbench_methods()
    assert (fixed.selector.name, fixed.trainer.name) == ("token-cleaning", "token-cleaning")  # type: ignore[union-attr]
    assert (evolving.selector.name, evolving.trainer.name) == ("random", "token-cleaning-evolving")  # type: ignore[union-attr]
    assert Masked().needs() == Evolving().needs() == Needs()
    assert set(TokenCleaning().needs().models) == {"reference"}


@pytest.mark.parametrize("rank", [0, 2])
def test_evolving_in_one_part_is_plain_fine_tuning_bit_for_bit(small: Any, tmp_path: Path, rank: int) -> None:
    pool = small.pool(*small.words(10))
    for name, trainer in (("sft", Sft(rank=rank, **QUICK)), ("one", Evolving(num_parts=1, rank=rank, **QUICK))):
        trainer.train(pool, small.everything(pool), small.desk(pool, name), tmp_path / name)
    small.assert_same_model(tmp_path / "sft", tmp_path / "one")


def test_without_labels_masked_training_is_plain_fine_tuning_bit_for_bit(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(10))
    for name, trainer in (("sft", Sft(**QUICK)), ("masked", Masked(**QUICK))):
        trainer.train(pool, small.everything(pool), small.desk(pool, name), tmp_path / name)
    small.assert_same_model(tmp_path / "sft", tmp_path / "masked")


def test_a_row_without_a_trained_token_keeps_its_place_with_weight_0(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(8))
    desk = small.desk(pool)
    given = Selection(ids=tuple(pool.ids), token_labels=labels_of(pool, desk, lambda at: at != 2))
    trained = Masked(**{**QUICK, "batch_size": 8}).train(pool, given, desk, tmp_path / "out")
    assert trained.report["num_rows_trained"] == 7
    assert trained.report["num_rows_without_a_trained_token"] == 1
    expected = [small.losses("base", pool, desk)[f"row-{at}"] for at in range(8) if at != 2]
    assert trained.report["final_loss"] == pytest.approx(np.concatenate(expected).mean(), rel=1e-5)


def test_when_no_token_is_left_that_is_an_error(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(3))
    desk = small.desk(pool)
    given = Selection(ids=tuple(pool.ids), token_labels=labels_of(pool, desk, lambda at: 0))
    with pytest.raises(UsageError, match="no_trained_token: 3"):
        Masked(**QUICK).train(pool, given, desk, tmp_path / "out")


def test_official_takes_the_mean_of_the_means_over_micro_batches(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(4))
    desk = small.desk(pool)
    trainer = Masked(mode="official", micro_batch_rows=2, **QUICK)
    trained = trainer.train(pool, small.everything(pool), desk, tmp_path / "out")
    losses = small.losses("base", pool, desk)
    order = np.random.default_rng([0, 0]).permutation(4)
    groups = [np.concatenate([losses[pool.ids[at]] for at in order[start : start + 2]]).mean() for start in (0, 2)]
    assert trained.report["final_loss"] == pytest.approx(np.mean(groups), rel=1e-5)


def evolved(small: Any, pool: Any, out: Path, name: str = "desk", **more: Any) -> Any:
    desk = small.desk(pool, name, kill_after=more.pop("kill_after", None))
    return Evolving(**{**QUICK, "num_parts": 3, **more}).train(pool, small.everything(pool), desk, out)


def test_each_part_is_cleaned_by_the_model_of_the_parts_before_and_the_base(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(12))
    desk = small.desk(pool)
    whole = evolved(small, pool, tmp_path / "whole", "whole")
    assert whole.selection.ids == tuple(pool.ids)
    base = small.losses("base", pool, desk)
    labels = {row_id: whole.selection.token_labels[at].tolist() for at, row_id in enumerate(pool.ids)}
    assert all(labels[row_id] == [1] * len(base[row_id]) for row_id in pool.ids[:4])
    # The models on the way are what the same training on the parts so far ends with.
    for part in (1, 2):
        so_far = pool.ids[: 4 * part]
        beginning = small.pool(*[[m.content for m in row.messages] for row in pool.take(range(4 * part))])
        assert beginning.ids == so_far
        folder = tmp_path / f"until-{part}"
        evolved(small, beginning, folder, f"until-{part}", num_parts=part)
        small.folders["so-far"] = folder
        reference = small.losses("so-far", pool, desk)
        ids = pool.ids[4 * part : 4 * part + 4]
        tokens = sorted(
            (-(base[row_id][at] - reference[row_id][at]), number, at)
            for number, row_id in enumerate(ids)
            for at in range(len(base[row_id]))
        )
        kept = {(number, at) for _, number, at in tokens[: int(0.6 * len(tokens))]}
        for number, row_id in enumerate(ids):
            assert labels[row_id] == [int((number, at) in kept) for at in range(len(base[row_id]))]
    assert [round(part["share_kept"], 1) for part in whole.report["parts"]] == [1.0, 0.6, 0.6]


@pytest.mark.parametrize("kill_after", [9, 13, 14])
def test_a_killed_evolution_goes_on_to_the_same_model(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_after: int
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    pool = small.pool(*small.words(12))
    whole = evolved(small, pool, tmp_path / "whole", "whole", epochs=2)
    # 8 rows are looked at before training begins, which takes 2 steps a part.
    with pytest.raises(small.killed):
        evolved(small, pool, tmp_path / "again", "killed", epochs=2, kill_after=kill_after)
    again = evolved(small, pool, tmp_path / "again", "killed", epochs=2)
    small.assert_same_model(tmp_path / "whole", tmp_path / "again")
    assert again.report == whole.report
    assert again.selection.token_labels.values.tolist() == whole.selection.token_labels.values.tolist()


@pytest.mark.usefixtures("in_double_precision")
def test_micro_batches_of_any_size_lead_to_the_same_model(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(12))
    made = [evolved(small, pool, tmp_path / str(size), str(size), micro_batch_tokens=size) for size in (1, 10_000)]
    small.assert_same_model(tmp_path / "1", tmp_path / "10000", within=1e-6)
    assert made[0].selection.token_labels.values.tolist() == made[1].selection.token_labels.values.tolist()


def test_rows_without_tokens_are_left_out_of_the_parts_and_told(small: Any, tmp_path: Path) -> None:
    pool = small.pool(("ask", ""), *small.words(6), ("x" * 60, "late"))
    made = evolved(small, pool, tmp_path / "out")
    assert made.selection.ids == tuple(f"row-{at}" for at in range(1, 7))
    assert made.report["num_rows_left_out"] == 2


def test_fewer_rows_than_parts_are_refused_before_training(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(4), ("ask", ""))
    with pytest.raises(UsageError, match=r"4 rows.*5 parts.*num_parts=4"):
        evolved(small, pool, tmp_path / "out", num_parts=5)
    assert not (tmp_path / "out").exists()


def test_bounds_on_the_steps_are_those_of_all_parts_together(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(12))
    assert evolved(small, pool, tmp_path / "most", "most", epochs=9, max_steps=6).report["num_steps"] == 6
    assert evolved(small, pool, tmp_path / "least", "least", min_steps=12).report["num_steps"] == 12
    for given in ({"max_steps": "2"}, {"num_parts": "0"}, {"keep": "0"}):
        with pytest.raises(UsageError):
            build(Evolving, given, where="token-cleaning-evolving")  # type: ignore[arg-type]


def test_looking_at_the_parts_is_counted_as_work(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(12))
    desk, plain = small.desk(pool, "evolving"), small.desk(pool, "plain")
    Evolving(**{**QUICK, "num_parts": 3}).train(pool, small.everything(pool), desk, tmp_path / "evolving")
    Sft(**QUICK).train(pool, small.everything(pool), plain, tmp_path / "plain")
    lengths = [len(each.token_ids) for each in desk.training_encoding(pool)]
    # The last token of a row predicts nothing and need not go through a model.
    looked_at = sum(length - 1 for length in lengths[4:])
    assert desk.metered["tokens_forward"] - plain.metered["tokens_forward"] == 2 * looked_at
    assert Evolving(**{**QUICK, "num_parts": 3}).passes_per_epoch == pytest.approx(3 + 4 / 3)
