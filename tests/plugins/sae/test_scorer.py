"""Features of rows by way of a model: against a plain loop, with bad rows, and from a folder."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch

from sftbench import Ragged, UsageError
from sftbench_plugins.sae.scorer import SaeFeatures

PAIRS = [("ask", "told this and that"), ("more", "x"), ("sum of two", "four"), ("who", "a long answer to who")] * 3
QUICK = {"expansion": 2, "k": 2, "steps": 5, "batch": 16}


def read_from(autoencoder, make_desk, pairs, tmp_path, **parameters):
    autoencoder.save(tmp_path / "sae")
    desk = make_desk(pairs, folders={"sae": tmp_path / "sae"})
    part = SaeFeatures(sae=str(tmp_path / "sae"), **parameters)
    assert part.needs().folders == {"sae": str(tmp_path / "sae")}
    return part.score(desk.pool, desk)


def plain_features(model, autoencoder, prompt, response, threshold, *, whole=True):
    """States of the residual stream by a forward pass of the model itself, one row at a time."""
    ids = model.tokenizer(f"{prompt}\n{response}", add_special_tokens=False)["input_ids"][:60]
    caught = []
    hook = model.model.model.layers[-1].register_forward_hook(
        lambda module, given, made: caught.append(made[0] if isinstance(made, tuple) else made)
    )
    with torch.no_grad():
        model.model(torch.tensor([ids]))
    hook.remove()
    first = 1 if whole else len(prompt) + 1
    values = autoencoder.pre_activations(caught[0].reshape(len(ids), -1))[first:]
    return torch.nonzero(values.amax(dim=0) > threshold)[:, 0].tolist()


@pytest.mark.parametrize("span", ["both", "response"])
def test_features_are_those_of_a_plain_loop(model, autoencoder, make_desk, tmp_path, span):
    scores = read_from(autoencoder, make_desk, PAIRS[:4], tmp_path, threshold="absolute", theta=6.0, span=span)
    features = scores.columns["features"]
    assert isinstance(features, Ragged)
    for row, (prompt, response) in enumerate(PAIRS[:4]):
        expected = plain_features(model, autoencoder, prompt, response, 6.0, whole=span == "both")
        assert features[row].tolist() == expected
        assert scores.values[row] == len(expected)
        length = len(f"{prompt}\n{response}") - 1 if span == "both" else len(response)
        assert scores.columns["num_tokens"][row] == length
    assert 0 < scores.values.mean() < 40
    sets = [set(features[row].tolist()) for row in range(4)]
    seen = set().union(*sets)
    assert scores.report["features_of_any_row"] == len(seen)
    assert scores.report["features_of_most_rows"] == sum(sum(each in held for held in sets) > 2 for each in seen)


def test_the_threshold_may_be_a_number_a_quantile_or_a_target(autoencoder, make_desk, tmp_path):
    def report(**parameters):
        return read_from(autoencoder, make_desk, PAIRS[:4], tmp_path, **parameters).report

    assert report(threshold="absolute")["threshold"] == 10
    low, high = (report(threshold="quantile", theta=share)["threshold"] for share in (0.6, 0.9))
    assert 0 < low < high
    assert report()["threshold"] == pytest.approx(report(threshold="quantile", theta=1 - 5 / 40)["threshold"])
    assert report(threshold="target", theta=7)["mean_features"] == pytest.approx(7, abs=0.26)


def test_an_autoencoder_is_trained_where_none_is_named(make_desk):
    desk = make_desk(PAIRS)
    scores = SaeFeatures(**QUICK).score(desk.pool, desk)
    assert scores.report["sae"] == "trained here"
    assert scores.report["num_latents"] == 32
    num_tokens = sum(len(f"{prompt}\n{response}") - 1 for prompt, response in PAIRS)
    assert scores.report["num_training_tokens"] == num_tokens
    assert scores.columns["num_tokens"].sum() == num_tokens
    assert np.isfinite(scores.values).all()
    assert desk.flops > 0
    again = make_desk(PAIRS)
    np.testing.assert_array_equal(SaeFeatures(**QUICK).score(again.pool, again).values, scores.values)


def test_no_more_tokens_are_trained_on_than_asked_for(make_desk):
    desk = make_desk(PAIRS)
    assert SaeFeatures(**QUICK, train_tokens=50).score(desk.pool, desk).report["num_training_tokens"] == 50


def test_a_bad_row_changes_nothing_for_the_others(autoencoder, make_desk, tmp_path):
    more = [
        ("only asked", ""),
        ("", "only told"),
        ("a", ""),
        ("", "z"),
        ("long " * 30, "never read"),
        ("cut", "off " * 30),
    ]
    given = {"threshold": "absolute", "theta": 6.0}
    plain = read_from(autoencoder, make_desk, PAIRS[:4], tmp_path, **given)
    scores = read_from(autoencoder, make_desk, PAIRS[:2] + more + PAIRS[2:4], tmp_path, **given)
    np.testing.assert_array_equal(scores.values[[0, 1, 8, 9]], plain.values)
    assert scores.reasons == {2: "empty_response", 4: "empty_response"}
    assert np.isnan(scores.values).nonzero()[0].tolist() == [2, 4]
    assert len(scores.columns["features"][2]) > 0, "the instruction has features"
    assert np.isfinite(scores.values[3])
    assert scores.notes[6] == "truncated to 0%"
    assert scores.notes[7].startswith("truncated to 4")
    assert scores.columns["num_tokens"][[6, 7]].tolist() == [59, 59]


def test_a_row_without_active_features_says_so(autoencoder, make_desk, tmp_path):
    scores = read_from(autoencoder, make_desk, PAIRS[:2], tmp_path, threshold="absolute", theta=1e9)
    assert scores.values.tolist() == [0, 0]
    assert scores.notes == {0: "no_features", 1: "no_features"}


def test_states_that_are_not_finite_cost_their_own_row(autoencoder, make_desk, tmp_path, monkeypatch):
    from sftbench_plugins.sae.states import StateReader

    read = StateReader.of

    def spoilt(self, rows):
        for row, each in zip(rows, read(self, rows), strict=True):
            if row.id == "1":
                each.states[0, 3] = np.inf
            yield each

    monkeypatch.setattr(StateReader, "of", spoilt)
    scores = read_from(autoencoder, make_desk, PAIRS[:4], tmp_path, threshold="target", theta=5)
    assert scores.reasons == {1: "non_finite"}
    assert np.isfinite(scores.values[[0, 2, 3]]).all()


def test_states_are_let_go_of_as_the_pool_is_read(model, make_desk, monkeypatch):
    from sftbench_plugins.sae.states import StateReader

    desk = make_desk(PAIRS * 10)
    monkeypatch.setattr(model, "max_batch_tokens", 60)
    read, alive, most = StateReader.of, weakref.WeakSet(), 0

    def watched(self, rows):
        nonlocal most
        for each in read(self, rows):
            alive.add(each)
            most = max(most, len(alive))
            yield each
            del each

    monkeypatch.setattr(StateReader, "of", watched)
    scores = SaeFeatures(**QUICK).score(desk.pool, desk)
    assert len(scores.values) == 120
    assert 0 < most <= 2


def test_equal_rows_have_equal_features(autoencoder, make_desk, tmp_path):
    features = read_from(autoencoder, make_desk, PAIRS, tmp_path).columns["features"]
    assert features[0].tolist() == features[4].tolist() == features[8].tolist()


def test_a_pool_without_tokens_is_refused(make_desk):
    desk = make_desk([("", "z"), ("", "y")])
    with pytest.raises(UsageError, match="no row has a token"):
        SaeFeatures(span="response", **QUICK).score(desk.pool, desk)


@pytest.mark.parametrize(
    "parameters",
    [
        {"expansion": 0}, {"k": 0}, {"steps": 0}, {"threshold": "quantile", "theta": 1.5}, {"threshold": "target"},
        {"theta": 3.0},
    ],
)  # fmt: skip
def test_parameters_that_mean_nothing_are_refused(parameters):
    with pytest.raises(ValueError, match=list(parameters)[-1]):
        SaeFeatures(**parameters)


def test_it_reads_the_pool_once_or_twice():
    assert SaeFeatures().passes_over_pool == 2
    assert SaeFeatures(sae="somewhere").passes_over_pool == 1
