"""RHO-1: the tokens trained are those that lose most over the reference, live or once; awkward rows stay harmless."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sftbench_plugins.rho as plugin
from sftbench import UsageError
from sftbench.parameters import build
from sftbench_plugins.rho.trainer import Rho
from sftbench_plugins.sft.trainer import Sft

QUICK: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 16}


def train(small: Any, pool: Any, out: Path, name: str = "desk", **more: Any) -> Any:
    desk = small.desk(pool, name, kill_after=more.pop("kill_after", None))
    return Rho(**{**QUICK, **more}).train(pool, small.everything(pool), desk, out)


def best(scores: dict[tuple[str, int], float], ids: list[str], share: float, at_least: int = 1) -> set[tuple[str, int]]:
    ranked = sorted(scores, key=lambda at: (-scores[at], ids.index(at[0]), at[1]))
    return set(ranked[: max(at_least, int(share * len(ranked)))])


def gains(small: Any, pool: Any) -> dict[tuple[str, int], float]:
    """Loss of the base minus loss of the reference, by row and response token."""
    desk = small.desk(pool)
    base, reference = (small.losses(name, pool, desk) for name in ("base", "reference"))
    return {
        (row_id, at): base[row_id][at] - reference[row_id][at] for row_id in pool.ids for at in range(len(base[row_id]))
    }


def kept(made: Any) -> set[tuple[str, int]]:
    labels = made.selection.token_labels
    return {
        (row_id, int(at)) for number, row_id in enumerate(made.selection.ids) for at in np.flatnonzero(labels[number])
    }


def test_the_method_trains_random_rows_and_needs_a_reference() -> None:
    (method,) = plugin.sftbench_methods()
    assert plugin.sftbench_trainers() == [Rho]
    assert (method.selector.name, method.trainer.name) == ("random", "rho")  # type: ignore[union-attr]
    assert set(Rho().needs().models) == {"reference"}
    assert Rho(reference="scoring").needs().language_models == ("scoring",)


def test_in_the_first_step_live_losses_are_those_of_the_base(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(10))
    scores = gains(small, pool)
    live = train(small, pool, tmp_path / "live", "live")
    assert kept(live) == best(scores, pool.ids, 0.6)
    losses = small.losses("base", pool, small.desk(pool))
    assert live.report["final_loss"] == pytest.approx(np.mean([losses[row][at] for row, at in kept(live)]), rel=1e-5)


@pytest.mark.parametrize("scope", ["batch", "sample"])
@pytest.mark.parametrize("variant", ["live", "sft"])
def test_tokens_are_ranked_in_the_batch_or_in_each_sample(small: Any, tmp_path: Path, variant: str, scope: str) -> None:
    pool = small.pool(("a", "x"), *small.words(7))
    scores = gains(small, pool)
    made = train(small, pool, tmp_path / "out", variant=variant, scope=scope)
    if scope == "batch":
        expected = best(scores, pool.ids, 0.6)
    else:
        of_rows = [{at: scores[at] for at in scores if at[0] == row_id} for row_id in pool.ids]
        expected = set().union(*(best(each, pool.ids, 0.6) for each in of_rows))
    assert kept(made) == expected


def test_once_and_over_all_rows_is_the_released_baseline(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(9))
    made = train(small, pool, tmp_path / "out", variant="sft", mode="official", batch_size=9, micro_batch_rows=4)
    assert kept(made) == best(gains(small, pool), pool.ids, 0.6)
    losses = small.losses("base", pool, small.desk(pool))
    order = [pool.ids[at] for at in np.random.default_rng([0, 0]).permutation(9)]
    groups = [[losses[row][at] for row, at in kept(made) if row in order[start : start + 4]] for start in (0, 4, 8)]
    means = [np.mean(each) for each in groups if each]
    assert made.report["final_loss"] == pytest.approx(np.mean(means), rel=1e-5)


@pytest.mark.parametrize("given", [{}, {"scope": "sample"}, {"variant": "sft"}, {"variant": "sft", "scope": "batch"}])
def test_keeping_all_tokens_is_plain_fine_tuning_bit_for_bit(small: Any, tmp_path: Path, given: dict[str, Any]) -> None:
    pool = small.pool(*small.words(10))
    more = {"epochs": 2, "batch_size": 4}
    train(small, pool, tmp_path / "rho", "rho", keep=1.0, **more, **given)
    Sft(**{**QUICK, **more}).train(pool, small.everything(pool), small.desk(pool, "sft"), tmp_path / "sft")
    small.assert_same_model(tmp_path / "rho", tmp_path / "sft")


def test_the_tokens_told_are_those_used_in_any_step(small: Any, tmp_path: Path) -> None:
    pool = small.pool(*small.words(10))
    once, often = (train(small, pool, tmp_path / str(n), str(n), epochs=n, learning_rate=5e-2) for n in (1, 4))
    assert kept(once) < kept(often)
    labels = often.selection.token_labels
    assert often.report["share_of_tokens_ever_trained"] == pytest.approx((labels.values > 0).mean())
    assert once.report["num_response_tokens_trained"] == len(kept(once))


@pytest.mark.parametrize("given", [{}, {"variant": "sft"}])
@pytest.mark.usefixtures("in_double_precision")
def test_micro_batches_of_any_size_lead_to_the_same_model(small: Any, tmp_path: Path, given: dict[str, Any]) -> None:
    pool = small.pool(*small.words(12))
    for size in (1, 10_000):
        made = train(
            small, pool, tmp_path / str(size), str(size), epochs=3, batch_size=5, learning_rate=1e-3,
            micro_batch_tokens=size, **given,
        )  # fmt: skip
        assert made.report["num_steps"] == 9
    small.assert_same_model(tmp_path / "1", tmp_path / "10000", within=1e-6)


def test_a_killed_training_goes_on_to_the_same_model(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    pool = small.pool(*small.words(12))
    more = {"epochs": 3, "batch_size": 4}
    whole = train(small, pool, tmp_path / "whole", "whole", **more)
    # 12 rows are looked at by the reference, then 9 steps follow.
    with pytest.raises(small.killed):
        train(small, pool, tmp_path / "again", "killed", kill_after=17, **more)
    again = train(small, pool, tmp_path / "again", "killed", **more)
    small.assert_same_model(tmp_path / "whole", tmp_path / "again")
    assert again.report == whole.report
    assert kept(again) == kept(whole)


def test_rows_without_tokens_are_left_out_and_told(small: Any, tmp_path: Path) -> None:
    pool = small.pool(("ask", ""), *small.words(4), ("x" * 60, "late"))
    made = train(small, pool, tmp_path / "out")
    assert made.selection.ids == tuple(f"row-{at}" for at in range(1, 5))
    assert made.report["num_rows_left_out"] == 2
    nothing = small.pool(("ask", ""), ("x" * 60, "late"))
    with pytest.raises(UsageError, match="none of the 2"):
        train(small, nothing, tmp_path / "nothing")


@pytest.mark.parametrize("variant", ["live", "sft"])
def test_a_token_without_a_number_is_never_trained_and_told(
    small: Any, tmp_path: Path, make_broken: Callable[[str], None], variant: str
) -> None:
    make_broken("reference")
    pool = small.pool(("abc", "defg#hij"), *small.words(6))
    made = train(small, pool, tmp_path / "out", variant=variant, epochs=3)
    assert made.report["notes"] == {"non_finite": 1}
    assert not {("row-0", at) for at in range(5, 9)} & kept(made)
    assert np.isfinite(made.report["final_loss"])


def test_every_assistant_turn_is_response(small: Any, tmp_path: Path) -> None:
    pool = small.pool(("ab", "cde", "fg", "hij"), ("k", "lm"))
    made = train(small, pool, tmp_path / "out", keep=1.0)
    assert [len(each) for each in made.selection.token_labels] == [3 + 1 + 3 + 1, 2 + 1]
    assert made.selection.token_labels.values.all()


def test_a_model_with_other_tokens_is_refused_as_reference(small: Any, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(small.folders["scoring"])
    tokenizer.add_tokens(["longer"])
    folder = small.root / "other"
    folder.mkdir()
    for file in small.folders["scoring"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer.save_pretrained(folder)
    small.folders["scoring"] = folder
    with pytest.raises(UsageError, match="tokenizer differs"):
        train(small, small.pool(*small.words(3)), tmp_path / "out", reference="scoring")


def test_modes_and_scopes_that_do_not_exist_are_refused() -> None:
    for given, message in (
        ({"mode": "official"}, "no training code"),
        ({"scope": "global"}, "scope is batch or sample"),
        ({"keep": "0"}, "keep"),
        ({"variant": "other"}, "variant"),
    ):
        with pytest.raises(UsageError, match=message):
            build(Rho, given, where="rho")  # type: ignore[arg-type]


def test_what_an_epoch_is_worth_counts_the_passes_that_only_rank() -> None:
    assert Rho(epochs=2).passes_per_epoch == 3 + 1 + 0.5
    assert Rho(epochs=2, variant="sft", rank=4).passes_per_epoch == 2 + 1
