"""The scorer on a small random model: against a loop written out plainly, and what must not change a score."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from sftbench import Scores, UsageError
from sftbench_plugins.tshirt import TShirt

NEAR = {"rtol": 2e-5, "atol": 2e-5}


def token_losses(model: Any, ids: list[int], noise: torch.Tensor) -> torch.Tensor:
    """Losses in nats of the tokens 1.. of one sequence, from the model's own logits."""
    embeddings = model.model.get_input_embeddings()(torch.tensor(ids))
    logits = model.model(inputs_embeds=(embeddings + noise)[None]).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")


def plainly(
    model: Any, rows: list[dict[str, str]], *, mode: str, num_draws: int, keep: float = 0.5, alpha: float = 5.0
) -> Any:
    """Mean and std of S-IFD and mean noisy IFD of every row: one row, one copy, one token at a time."""
    stream, deltas, ifds = torch.Generator().manual_seed(42), [], []
    for row in rows:
        prompt = len((row["instruction"] + "\n").encode())
        ids = list(model.tokenizer(row["instruction"] + "\n" + row["output"])["input_ids"])
        shape = (num_draws + (mode == "official"), len(ids), model.width)
        if mode == "official":
            noise = (torch.rand(shape, generator=stream) * 2 - 1)[:num_draws]
        else:
            digest = hashlib.blake2b(f"42|{row['id']}".encode(), digest_size=7).digest()
            own = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
            noise = torch.rand(shape, generator=own) * 2 - 1
        noise = noise * alpha / (len(ids) * model.width) ** 0.5
        given = [token_losses(model, ids, each)[prompt - 1 :] for each in noise]
        alone = [token_losses(model, ids[prompt:], each[prompt:]) for each in noise]
        deltas.append([(c[1:] - u).numpy() for c, u in zip(given, alone, strict=True)])
        first = 0 if mode == "official" else 1
        ifds.append(
            np.mean([float(c[first:].mean().exp() / u.mean().exp()) for c, u in zip(given, alone, strict=True)])
        )
    tau = np.percentile(np.abs(np.concatenate([copy for row in deltas for copy in row])), 100 * (1 - keep))
    means, stds = [], []
    for row in deltas:
        kept = [[value for value in copy if abs(value) > tau] for copy in row]
        copies = [np.exp(np.sum(each) / max(1, len(each))) for each in kept if each or mode == "official"]
        enough = len(copies) >= num_draws / 2
        means.append(np.mean(copies) if enough else np.nan)
        stds.append(np.std(copies) if enough else np.nan)
    return np.array(means), np.array(stds), np.array(ifds), tau


@pytest.mark.parametrize("mode", ["paper", "official"])
@pytest.mark.parametrize("keep", [0.5, 0.75])
def test_scores_equal_those_of_a_plain_loop(
    mode: Any, keep: float, make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows = make_model(), make_rows(6)
    pool = make_pool(rows)
    scores = TShirt(mode=mode, dtype="float32", keep=keep, num_draws=4).score(pool, make_desk(model, pool))
    means, stds, ifds, tau = plainly(model, rows, mode=mode, num_draws=4, keep=keep)
    assert scores.report["tau_nats"] == pytest.approx(tau, rel=1e-5)
    np.testing.assert_allclose(scores.values, means, **NEAR)
    np.testing.assert_allclose(scores.columns["std_sifd"], stds, **NEAR)
    np.testing.assert_allclose(scores.columns["mean_noisy_ifd"], ifds, **NEAR)
    assert len(set(np.round(means, 3))) > 4, "a model without opinions tells nothing"


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_the_clean_ifd_is_that_of_the_model_without_noise(
    mode: Any, make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows = make_model(), make_rows(4)
    pool = make_pool(rows)
    scores = TShirt(mode=mode, num_draws=2).score(pool, make_desk(model, pool))
    _, _, ifds, _ = plainly(model, rows, mode=mode, num_draws=1, alpha=0.0)
    np.testing.assert_allclose(scores.columns["ifd_clean"], ifds, **NEAR)


def same(first: Scores, order: list[int], second: Scores) -> None:
    """Scores of rows in another order (or of a part of them) are the same scores."""
    np.testing.assert_allclose(first.values[order], second.values, **NEAR)
    for name, column in first.columns.items():
        np.testing.assert_allclose(column[order], second.columns[name], **NEAR)


def test_the_order_of_the_pool_changes_no_score_in_the_paper_mode(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows, order = make_model(), make_rows(7), [3, 0, 6, 2, 5, 1, 4]
    one, other = make_pool(rows), make_pool([rows[at] for at in order])
    scorer = TShirt(num_draws=3)
    same(scorer.score(one, make_desk(model, one)), order, scorer.score(other, make_desk(model, other)))


def test_the_noise_of_a_shard_is_that_of_the_whole_pool(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows = make_model(), make_rows(6)
    whole, shard = make_pool(rows), make_pool(rows[2:4])
    # Without the threshold, which is the pool's, every number is the row's own.
    scorer = TShirt(num_draws=3, sifd_off=True)
    same(scorer.score(whole, make_desk(model, whole)), [2, 3], scorer.score(shard, make_desk(model, shard)))


BAD = [
    {"id": "empty", "instruction": "Say", "output": ""},
    {"id": "long", "instruction": "x" * 200, "output": "abc"},
    {"id": "newline", "instruction": "Say\n", "output": "abc"},
]


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_bad_rows_between_good_ones_shift_no_score(
    mode: Any, make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows = make_model(), make_rows(5)
    bad = BAD if mode == "official" else BAD[:2]
    mixed = [rows[0], *bad[:1], rows[1], *bad[1:], *rows[2:]]
    clean, dirty = make_pool(rows), make_pool(mixed)
    scorer = TShirt(mode=mode, dtype="float32", num_draws=3)
    first, second = scorer.score(clean, make_desk(model, clean)), scorer.score(dirty, make_desk(model, dirty))
    good = [at for at, row in enumerate(mixed) if row not in bad]
    same(second, good, first)
    reasons = {mixed[at]["id"]: reason for at, reason in second.reasons.items()}
    expected = {"empty": "empty_response", "long": "prompt_too_long", "newline": "boundary_mismatch"}
    assert reasons == {row["id"]: expected[row["id"]] for row in bad}
    assert set(np.flatnonzero(np.isnan(second.values))) == set(second.reasons)


def test_a_pool_of_bad_rows_is_scored_as_nan(make_model: Any, make_pool: Any, make_desk: Any) -> None:
    pool, model = make_pool(BAD[:2]), make_model()
    for scorer in (TShirt(num_draws=2), TShirt(mode="official", num_draws=2), TShirt(clean_only=True)):
        scores = scorer.score(pool, make_desk(model, pool))
        assert np.isnan(scores.values).all()
        assert set(scores.reasons) == {0, 1}


def test_clean_only_is_one_copy_without_noise(make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any) -> None:
    model, rows = make_model(), make_rows(6)
    pool = make_pool(rows)
    scores = TShirt(clean_only=True).score(pool, make_desk(model, pool))
    means, _, ifds, tau = plainly(model, rows, mode="paper", num_draws=1, alpha=0.0)
    assert scores.report["tau_nats"] == pytest.approx(tau, rel=1e-5)
    np.testing.assert_allclose(scores.values, means, **NEAR)
    np.testing.assert_allclose(scores.columns["mean_noisy_ifd"], ifds, **NEAR)


def test_without_noise_every_copy_is_the_clean_one(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, pool = make_model(), make_pool(make_rows(5))
    silent = TShirt(alpha=0.0, num_draws=2).score(pool, make_desk(model, pool))
    clean = TShirt(clean_only=True).score(pool, make_desk(model, pool))
    np.testing.assert_allclose(silent.columns["mean_noisy_ifd"], silent.columns["ifd_clean"], **NEAR)
    np.testing.assert_allclose(silent.columns["std_sifd"], np.where(np.isnan(silent.values), np.nan, 0), **NEAR)
    np.testing.assert_allclose(silent.columns["ifd_clean"], clean.columns["ifd_clean"], **NEAR)


def test_a_tokenizer_with_a_bos_scores_every_response_token(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows = make_model(bos=True), make_rows(3)
    pool = make_pool(rows)
    scores = TShirt(num_draws=2, alpha=0.0).score(pool, make_desk(model, pool))
    assert scores.columns["num_tokens"].tolist() == [len(row["output"].encode()) for row in rows]
    np.testing.assert_allclose(scores.columns["mean_noisy_ifd"], scores.columns["ifd_clean"], **NEAR)


def test_a_shorter_window_cuts_the_clean_ifd_too(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, pool = make_model(), make_pool([{"id": "a", "instruction": "Say", "output": "one two three four five"}])
    scores = TShirt(num_draws=2, alpha=0.0, max_length=12).score(pool, make_desk(model, pool))
    assert scores.notes == {0: "response_truncated"}
    assert scores.columns["num_tokens"].tolist() == [7]
    np.testing.assert_allclose(scores.columns["mean_noisy_ifd"], scores.columns["ifd_clean"], **NEAR)


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [({}, "float32"), ({"mode": "official"}, "bfloat16"), ({"mode": "official", "dtype": "float32"}, "float32")],
)
def test_the_dtype_follows_the_mode(
    parameters: Any, asked: str, make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    pool = make_pool(make_rows(2))
    desk = make_desk(make_model(), pool)
    assert TShirt(num_draws=2, **parameters).score(pool, desk).report["dtype"] == asked
    assert desk.asked_dtypes == [asked]


def test_the_same_id_twice_is_refused_before_scoring(make_model: Any, make_desk: Any) -> None:
    class Twice:
        ids = ("a", "a")

        def __len__(self) -> int:
            return 2

    with pytest.raises(UsageError, match="twice"):
        TShirt().score(Twice(), make_desk(make_model(), None))  # type: ignore[arg-type]


def test_bfloat16_agrees_with_float32_roughly(make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any) -> None:
    pool, exact, rounded = make_pool(make_rows(5)), make_model(), make_model()
    rounded.model.to(torch.bfloat16)
    scorer = TShirt(mode="official", num_draws=3)
    first, second = scorer.score(pool, make_desk(exact, pool)), scorer.score(pool, make_desk(rounded, pool))
    np.testing.assert_allclose(first.columns["ifd_clean"], second.columns["ifd_clean"], rtol=0.2)


@pytest.mark.parametrize(
    "wrong", [{"keep": 0.0}, {"keep": 1.5}, {"num_draws": 0}, {"alpha": -1.0}, {"mode": "official", "sifd_off": True}]
)
def test_parameters_without_a_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|ablations"):
        TShirt(**wrong)
