"""Encoding against plain formulas, reading and writing, and which features are active in a row."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sftbench import UsageError
from sftbench_plugins.sae.autoencoder import Autoencoder, keep_largest
from sftbench_plugins.sae.features import Activity

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


def test_what_is_explained_is_told_by_the_formula_whatever_the_blocks(autoencoder, monkeypatch):
    from sftbench_plugins.sae import autoencoder as module

    states = np.random.default_rng(3).normal(size=(7, 16)).astype(np.float32)
    answers = [
        plainly_encoded(autoencoder, state, 5) @ autoencoder.decoder.numpy() + autoencoder.bias.numpy()
        for state in states
    ]
    expected = 1 - ((states - answers) ** 2).sum() / ((states - 2.0) ** 2).sum()
    for values in (2**24, 40 * 3):
        monkeypatch.setattr(module, "_VALUES_AT_ONCE", values)
        assert autoencoder.explained(states, around=torch.full((16,), 2.0)) == pytest.approx(expected, abs=1e-5)


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


def test_a_quantile_of_many_states_looks_at_some_of_all(autoencoder, monkeypatch):
    from sftbench_plugins.sae import features

    activity = Activity(autoencoder=autoencoder, device=CPU, aggregate="max", top_k=False)
    doubled = np.repeat(STATES, 4, axis=0)
    monkeypatch.setattr(features, "_VALUES_AT_ONCE", 40 * 30)
    assert activity.quantile(doubled, 0.875) == pytest.approx(activity.quantile(STATES, 0.875))


@pytest.mark.parametrize("wanted", [1.0, 4.5, 12.0])
def test_a_target_is_met_as_closely_as_rows_allow(autoencoder, wanted):
    activity = Activity(autoencoder=autoencoder, device=CPU, aggregate="max", top_k=False)
    rows = [STATES[start : start + 3] for start in range(0, 30, 3)]
    rows.append(np.full((2, 16), np.nan, dtype=np.float32))
    threshold = activity.threshold_for(rows, wanted)
    assert np.mean([len(activity.active(row, threshold)) for row in rows[:-1]]) == pytest.approx(wanted, abs=1e-9)
    assert activity.threshold_for(rows, 41.0) == 0
