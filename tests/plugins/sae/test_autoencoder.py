"""Encoding against plain formulas, reading and writing, and what training makes of planted directions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sftbench import UsageError
from sftbench_plugins.sae.autoencoder import Autoencoder, keep_largest
from sftbench_plugins.sae.features import Activity
from sftbench_plugins.sae.training import Schedule, train

CPU = torch.device("cpu")


def plainly_encoded(autoencoder, state, k):
    """relu of the k largest of W_enc (h - b_pre) + b_enc, in double precision."""
    values = (
        autoencoder.encoder.double().numpy() @ (state - autoencoder.bias.numpy()) + autoencoder.encoder_bias.numpy()
    )
    kept = np.zeros(len(values))
    best = np.argsort(-values)[:k]
    kept[best] = np.maximum(values[best], 0)
    return kept


def test_activations_are_those_of_the_formula(autoencoder):
    states = np.random.default_rng(3).normal(size=(7, 16)).astype(np.float32)
    for top_k, k in ((True, 5), (False, 40)):
        found = autoencoder.activations(torch.from_numpy(states), top_k=top_k).numpy()
        np.testing.assert_allclose(found, [plainly_encoded(autoencoder, state, k) for state in states], atol=1e-4)


def test_no_more_than_there_are_can_be_kept():
    values = torch.tensor([[3.0, 1.0, 2.0]])
    assert keep_largest(values, 2).tolist() == [[3, 0, 2]]
    assert keep_largest(values, 9).tolist() == [[3, 1, 2]]


def test_what_was_saved_is_read_again(autoencoder, tmp_path):
    autoencoder.save(tmp_path / "sae")
    read = Autoencoder.read(tmp_path / "sae", width=16, device=CPU)
    for name in ("encoder", "encoder_bias", "decoder", "bias"):
        torch.testing.assert_close(getattr(read, name), getattr(autoencoder, name))
    assert (read.k, read.num_latents) == (5, 40)


def test_a_folder_that_does_not_fit_is_refused_with_the_reason(autoencoder, tmp_path):
    with pytest.raises(UsageError, match="holds no TopK autoencoder"):
        Autoencoder.read(tmp_path, width=16, device=CPU)
    autoencoder.save(tmp_path)
    with pytest.raises(UsageError, match="width 16, and those of the model have 32"):
        Autoencoder.read(tmp_path, width=32, device=CPU)
    settings = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps({**settings, "transcode": True}))
    with pytest.raises(UsageError, match="transcoder"):
        Autoencoder.read(tmp_path, width=16, device=CPU)


SCHEDULE = Schedule(num_latents=48, k=3, num_steps=400, batch_size=256, learning_rate=3e-3)


def trained(states, schedule=SCHEDULE, seed=0):
    return train(states, schedule, seed=seed, device=CPU, advance=lambda amount: None)


def reconstruction(autoencoder, states):
    inputs = torch.from_numpy(states)
    return (autoencoder.activations(inputs, top_k=True) @ autoencoder.decoder + autoencoder.bias).numpy()


@pytest.mark.xfail(
    strict=True, reason="the training of the autoencoder is not good enough yet, and the methods are not offered"
)
def test_training_explains_planted_directions_in_the_units_of_the_states(sparse_states):
    result = trained(sparse_states)
    rest = ((sparse_states - reconstruction(result.autoencoder, sparse_states)) ** 2).sum()
    variance = ((sparse_states - sparse_states.mean(axis=0)) ** 2).sum()
    assert 1 - rest / variance == pytest.approx(result.explained_variance, abs=0.03)
    assert result.explained_variance > 0.9
    torch.testing.assert_close(result.autoencoder.decoder.norm(dim=1), torch.ones(48))


@pytest.mark.xfail(
    strict=True, reason="the training of the autoencoder is not good enough yet, and the methods are not offered"
)
def test_most_planted_directions_are_found(sparse_states):
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(24, 16))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    likeness = np.abs(trained(sparse_states).autoencoder.decoder.numpy() @ directions.T).max(axis=0)
    assert (likeness > 0.9).mean() > 0.6


def test_the_same_seed_gives_the_same_autoencoder_and_another_one_another(sparse_states):
    short = Schedule(num_latents=48, k=3, num_steps=20, batch_size=64)
    first, again, other = (trained(sparse_states, short, seed) for seed in (0, 0, 1))
    assert torch.equal(first.autoencoder.encoder, again.autoencoder.encoder)
    assert not torch.allclose(first.autoencoder.encoder, other.autoencoder.encoder)


def test_pieces_of_a_batch_learn_what_the_whole_would(sparse_states, monkeypatch):
    from sftbench_plugins.sae import training

    short = Schedule(num_latents=48, k=3, num_steps=30, batch_size=64)
    whole = trained(sparse_states, short)
    monkeypatch.setattr(training, "_GATHERED_VALUES", 3 * 16 * 7)
    pieces = trained(sparse_states, short)
    torch.testing.assert_close(pieces.autoencoder.encoder, whole.autoencoder.encoder, atol=1e-3, rtol=1e-3)


def test_gradients_are_those_of_finite_differences(sparse_states):
    from sftbench_plugins.sae.training import _Model

    torch.manual_seed(0)
    inputs = torch.randn(6, 5, dtype=torch.float64)
    model = _Model(
        torch.nn.functional.normalize(torch.randn(9, 5, dtype=torch.float64), dim=1),
        Schedule(num_latents=9, k=2, num_steps=1, batch_size=6),
    )
    for parameter in model.parameters:
        parameter.data = parameter.data.double()
    dead = torch.tensor([1, 4, 7])

    def loss():
        error, _ = model._reconstruct(inputs)
        return error.square().mean() + model._auxiliary(inputs, dead, error.detach())

    loss().backward()
    missed = model._reconstruct(inputs)[0].detach()
    for parameter in model.parameters:
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for at in range(0, len(flat), 3):
            values = []
            for step in (1e-6, -1e-6):
                flat[at] += step
                # The error that dead latents are to explain is held fixed.
                values.append(
                    float(
                        (
                            model._reconstruct(inputs)[0].square().mean() + model._auxiliary(inputs, dead, missed)
                        ).detach()
                    )
                )
                flat[at] -= step
            assert gradient[at].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-5)


@pytest.mark.xfail(
    strict=True, reason="the training of the autoencoder is not good enough yet, and the methods are not offered"
)
def test_dead_latents_come_back(sparse_states):
    """With many latents and few steps most are never among the largest, unless the auxiliary loss revives them."""
    from sftbench_plugins.sae import training

    def dead_share(weight):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "_AUXILIARY_WEIGHT", weight)
            schedule = Schedule(num_latents=512, k=2, num_steps=300, batch_size=128, learning_rate=3e-3)
            return trained(sparse_states, schedule).dead_share

    assert dead_share(1 / 4) < dead_share(0.0) - 0.05


def test_the_learning_rate_is_that_of_the_paper_at_its_size_and_rises_and_falls():
    schedule = Schedule(num_latents=131_072, k=128, num_steps=100, batch_size=4096)
    rates = [schedule.rate(step) for step in range(100)]
    assert max(rates) == pytest.approx(7e-5, rel=0.02)
    assert rates[0] == pytest.approx(max(rates) / 5)
    assert rates[99] == pytest.approx(max(rates) / 20)
    assert rates[5:80] == [max(rates)] * 75


STATES = np.random.default_rng(4).normal(size=(30, 16)).astype(np.float32)


@pytest.mark.parametrize("top_k", [False, True])
@pytest.mark.parametrize("aggregate", ["max", "mean"])
def test_a_row_is_active_where_its_tokens_are_whatever_the_blocks(autoencoder, monkeypatch, top_k, aggregate):
    from sftbench_plugins.sae import features

    monkeypatch.setattr(features, "_VALUES_AT_ONCE", 40 * 7)
    activity = Activity(autoencoder=autoencoder, device=CPU, aggregate=aggregate, top_k=top_k)
    tokens = np.array([plainly_encoded(autoencoder, state, 5 if top_k else 40) for state in STATES])
    expected = tokens.max(axis=0) if aggregate == "max" else tokens.mean(axis=0)
    np.testing.assert_allclose(activity.of(STATES).numpy(), expected, atol=1e-4)
    assert activity.active(STATES, 1.0).tolist() == np.flatnonzero(expected > 1.0).tolist()
    assert activity.active(STATES[:0], 0.0).tolist() == []


def test_a_quantile_leaves_its_share_of_all_activations_above(autoencoder):
    activity = Activity(autoencoder=autoencoder, device=CPU, aggregate="max", top_k=False)
    values = autoencoder.pre_activations(torch.from_numpy(STATES)).numpy()
    threshold = activity.quantile(STATES, 0.875)
    assert (values > threshold).sum() == 30 * 40 / 8
    assert activity.quantile(STATES, 0.01) == 0
    assert activity.quantile(STATES[:0], 0.5) == 0


@pytest.mark.parametrize("wanted", [1.0, 4.5, 12.0])
def test_a_target_is_met_as_closely_as_rows_allow(autoencoder, wanted):
    activity = Activity(autoencoder=autoencoder, device=CPU, aggregate="max", top_k=False)
    rows = [STATES[start : start + 3] for start in range(0, 30, 3)]
    rows.append(np.full((2, 16), np.nan, dtype=np.float32))
    threshold = activity.threshold_for(rows, wanted)
    assert np.mean([len(activity.active(row, threshold)) for row in rows[:-1]]) == pytest.approx(wanted, abs=1e-9)
    assert activity.threshold_for(rows, 41.0) == 0
