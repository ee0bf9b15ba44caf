"""What training makes of planted directions, how latents start and come back, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sftbench_plugins.sae import learning
from sftbench_plugins.sae.learning import Learner, drawn_directions
from sftbench_plugins.sae.training import Schedule, train

CPU = torch.device("cpu")
SCHEDULE = Schedule(num_latents=48, k=3, num_steps=400, batch_size=256)
SHORT = Schedule(num_latents=48, k=3, num_steps=30, batch_size=64)


def trained(states, schedule=SCHEDULE, seed=0):
    return train(states, schedule, seed=seed, device=CPU, advance=lambda amount: None)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def explained(autoencoder, states):
    """1 - error / variance, in double precision from the definition of a TopK autoencoder."""
    encoder, decoder, bias = (
        each.double().numpy() for each in (autoencoder.encoder, autoencoder.decoder, autoencoder.bias)
    )
    values = (states - bias) @ encoder.T + autoencoder.encoder_bias.double().numpy()
    bound = np.sort(values, axis=1)[:, -autoencoder.k][:, None]
    answers = np.where(values >= bound, np.maximum(values, 0), 0) @ decoder + bias
    return 1 - ((states - answers) ** 2).sum() / ((states - states.mean(axis=0)) ** 2).sum()


def share_never_used(autoencoder, states):
    values = autoencoder.activations(torch.from_numpy(states), top_k=True)
    return float((values > 0).any(dim=0).logical_not().float().mean())


@pytest.fixture(scope="module")
def result(sparse_states):
    return trained(sparse_states)


def test_training_explains_planted_directions_in_the_units_of_the_states(result, sparse_states):
    assert result.explained_variance > 0.9
    assert explained(result.autoencoder, sparse_states[:3750]) == pytest.approx(result.explained_variance, abs=1e-3)
    assert explained(result.autoencoder, sparse_states[3750:]) == pytest.approx(result.explained_held_out, abs=1e-2)
    torch.testing.assert_close(result.autoencoder.decoder.norm(dim=1), torch.ones(48))


def test_most_planted_directions_are_found(result):
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(24, 16))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    likeness = (result.autoencoder.decoder.numpy() @ directions.T).max(axis=0)
    assert (likeness > 0.9).mean() > 0.9


def test_rows_that_are_held_out_are_not_learnt_from(sparse_states):
    other = sparse_states.copy()
    other[3750:] *= -3
    first, second = trained(sparse_states, SHORT), trained(other, SHORT)
    assert torch.equal(first.autoencoder.encoder, second.autoencoder.encoder)
    assert first.explained_held_out != second.explained_held_out
    assert trained(sparse_states[:15], SHORT).explained_held_out is None


def test_every_input_is_counted(sparse_states):
    result = trained(sparse_states[:320], Schedule(num_latents=48, k=3, num_steps=5, batch_size=128))
    # 300 are left to learn from: 128, 128, 44, and two batches of the next epoch.
    assert result.num_inputs == 300 + 256
    assert result.epochs == pytest.approx(556 / 300)


def test_the_same_seed_gives_the_same_autoencoder_and_another_one_another(sparse_states):
    first, again, other = (trained(sparse_states, SHORT, seed) for seed in (0, 0, 1))
    assert torch.equal(first.autoencoder.encoder, again.autoencoder.encoder)
    assert not torch.allclose(first.autoencoder.encoder, other.autoencoder.encoder)


def test_pieces_of_a_batch_learn_what_the_whole_would(sparse_states, monkeypatch):
    whole = trained(sparse_states, SHORT)
    monkeypatch.setattr(learning, "_VALUES_AT_ONCE", 3 * 16 * 7)
    pieces = trained(sparse_states, SHORT)
    torch.testing.assert_close(pieces.autoencoder.encoder, whole.autoencoder.encoder, atol=1e-3, rtol=1e-3)


def test_states_that_are_all_alike_do_no_harm():
    result = trained(np.full((40, 16), 3, dtype=np.float32), SHORT)
    assert torch.isfinite(result.autoencoder.encoder).all()


def test_latents_start_at_states_each_once_before_any_twice(monkeypatch):
    states = 3 * torch.eye(5)
    drawn = drawn_directions(states, 12, generator=seeded())
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(12))
    assert len({tuple(row) for row in drawn.tolist()}) == 12, "noise keeps apart what was drawn twice"
    counts = drawn.argmax(dim=1).bincount(minlength=5)
    assert sorted(counts.tolist()) == [2, 2, 2, 3, 3]
    monkeypatch.setattr(learning, "_NOISE", 0.0)
    assert drawn_directions(states, 5, generator=seeded()).sum(dim=0).tolist() == [1, 1, 1, 1, 1]


def test_the_encoder_starts_as_strong_as_explains_most(sparse_states):
    states = torch.from_numpy((sparse_states - sparse_states.mean(axis=0)) / sparse_states.std())
    learner = Learner.starting(states, 48, 3, generator=seeded())
    torch.testing.assert_close(torch.nn.functional.normalize(learner.encoder.detach(), dim=1), learner.decoder.detach())

    def missed(factor):
        with torch.no_grad():
            learner.encoder *= factor
            error = learner.reconstruct(states[:1024])[0].square().sum().item()
            learner.encoder /= factor
        return error

    assert missed(1) < min(missed(0.97), missed(1.03))
    assert missed(1) < states[:1024].square().sum().item()


def test_dead_latents_move_to_states_that_are_badly_explained_and_are_used_again(sparse_states):
    states = torch.from_numpy((sparse_states - sparse_states.mean(axis=0)) / sparse_states.std())
    learner = Learner.starting(states, 48, 3, generator=seeded())
    with torch.no_grad():
        learner.encoder_bias[:20] = -100
    for start in range(0, 2000, 100):
        learner.learn(states[start : start + 100], rate=1e-3)
    dead = learner.unused_for >= 20
    assert dead[:20].all()
    kept = learner.decoder.detach().clone()
    bad = torch.arange(0, 100, 2)
    missed = torch.zeros(100)
    missed[bad] = 5.0
    num_dead = int(dead.sum())
    assert learner.move_dead(states[:100], missed, unused_for=20, generator=seeded()) == num_dead
    assert torch.equal(learner.decoder.detach()[~dead], kept[~dead])
    targets = torch.nn.functional.normalize(states[bad] - learner.bias.detach(), dim=1)
    at, target = torch.nonzero(learner.decoder.detach()[dead] @ targets.T > 0.9999, as_tuple=True)
    assert at.tolist() == list(range(num_dead)), "each points to one of the badly explained states"
    assert len(set(target.tolist())) == num_dead, "and no two to the same"
    learner.learn(states[bad], rate=0.0)
    assert (learner.unused_for[dead] == 0).float().mean() > 0.9


def test_training_that_moves_dead_latents_leaves_fewer_dead(sparse_states, monkeypatch):
    schedule = Schedule(num_latents=512, k=2, num_steps=200, batch_size=128)
    moved = trained(sparse_states, schedule)
    assert moved.num_moved > 0
    monkeypatch.setattr(Schedule, "moves_after", lambda self, step: False)
    left = trained(sparse_states, schedule)
    assert left.num_moved == 0
    never = [share_never_used(each.autoencoder, sparse_states) for each in (moved, left)]
    assert never[0] < never[1] - 0.05
    assert moved.dead_share < left.dead_share
    assert moved.explained_variance > left.explained_variance - 0.01


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    inputs = torch.randn(6, 5, dtype=torch.float64)
    decoder = torch.nn.functional.normalize(torch.randn(9, 5, dtype=torch.float64), dim=1)
    learner = Learner(decoder, 2)

    def loss():
        return learner.reconstruct(inputs)[0].square().mean()

    loss().backward()
    for parameter in learner.parameters:
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for at in range(0, len(flat), 3):
            values = []
            for step in (1e-6, -1e-6):
                flat[at] += step
                values.append(float(loss().detach()))
                flat[at] -= step
            assert gradient[at].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-5)


def test_the_learning_rate_falls_with_the_root_of_the_latents_and_rises_and_falls_over_the_steps():
    schedule = Schedule(num_latents=2**16, k=128, num_steps=100, batch_size=4096)
    rates = [schedule.rate(step) for step in range(100)]
    assert max(rates) == pytest.approx(3e-4)
    assert rates[0] == pytest.approx(max(rates) / 5)
    assert rates[99] == pytest.approx(max(rates) / 20)
    assert rates[5:80] == [max(rates)] * 75


def test_dead_latents_are_looked_for_in_every_tenth_of_the_first_seven():
    schedule = Schedule(num_latents=8, k=2, num_steps=100, batch_size=4)
    assert [step for step in range(100) if schedule.moves_after(step)] == [9, 19, 29, 39, 49, 59, 69]
    assert Schedule(num_latents=8, k=2, num_steps=3, batch_size=4).period == 1
