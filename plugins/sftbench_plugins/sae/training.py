"""Training a TopK autoencoder on hidden states, with an auxiliary loss that brings dead latents back.

Loss and settings follow Gao et al. 2024 (arXiv 2406.04093): a reconstruction error as a share of the
variance, plus 1/32 of the error with which dead latents explain what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.sae.autoencoder import Autoencoder, keep_largest

_AUXILIARY_WEIGHT = 1 / 32
_WARM_UP, _COOL_DOWN = 0.05, 0.2
_DEAD_AFTER = 0.1
"""A latent that was not used in so large a share of the training is dead."""
_RATE_AT_16K = 2e-4
"""Learning rate for 2^14 latents; it goes down with the square root of their number (arXiv 2406.04093, section 2)."""

_GATHERED_VALUES = 2**26

States = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast: `num_steps` batches of `batch_size` states each."""

    num_latents: int
    k: int
    num_steps: int
    batch_size: int
    learning_rate: float | None = None

    def rate(self, step: int) -> float:
        """Learning rate at a step: up over 5 % of them, down to 0 over the last fifth."""
        peak = self.learning_rate or _RATE_AT_16K / (self.num_latents / 2**14) ** 0.5
        rising = (step + 1) / max(1.0, _WARM_UP * self.num_steps)
        falling = (self.num_steps - step) / max(1.0, _COOL_DOWN * self.num_steps)
        return peak * min(1.0, rising, falling)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The autoencoder; the share of the variance that it explains, and of latents that died, both at the end."""

    autoencoder: Autoencoder
    explained_variance: float
    dead_share: float


def train(
    states: States, schedule: Schedule, *, seed: int, device: torch.device, advance: Callable[[int], None]
) -> Trained:
    """Train on states [m, d], drawn anew in every epoch. The result is in the units of the states."""
    generator = torch.Generator().manual_seed(seed)
    mean, scale = _spread(states)
    width = states.shape[1]
    decoder = torch.nn.functional.normalize(torch.randn((schedule.num_latents, width), generator=generator), dim=1)
    model = _Model(decoder.to(device), schedule)
    for step, batch in enumerate(_batches(states, schedule, seed)):
        inputs = (torch.from_numpy(batch).to(device) - mean.to(device)) / scale
        model.learn(inputs, rate=schedule.rate(step))
        advance(1)
    explained, dead_share = model.explained, float((model.unused_for > model.patience).float().mean())
    encoder, encoder_bias, decoder, bias = (each.detach() for each in model.parameters)
    autoencoder = Autoencoder(
        encoder=encoder,
        encoder_bias=encoder_bias * scale,
        decoder=decoder,
        bias=mean.to(device) + scale * bias,
        k=schedule.k,
    )
    return Trained(autoencoder=autoencoder, explained_variance=explained, dead_share=dead_share)


class _Model:
    """Parameters in training, for states with mean 0 and one unit of variance per dimension."""

    def __init__(self, decoder: torch.Tensor, schedule: Schedule) -> None:
        num_latents, width = decoder.shape
        self.k, self.batch_size = schedule.k, schedule.batch_size
        self.num_auxiliary = max(1, width // 2)
        self.encoder = decoder.clone().requires_grad_()
        self.encoder_bias = torch.zeros(num_latents, device=decoder.device, requires_grad=True)
        self.decoder = decoder.clone().requires_grad_()
        self.bias = torch.zeros(width, device=decoder.device, requires_grad=True)
        self.unused_for = torch.zeros(num_latents, device=decoder.device)
        self.patience = max(1.0, _DEAD_AFTER * schedule.num_steps)
        self.explained = 0.0
        self.optimizer = torch.optim.Adam(self.parameters, lr=1.0, eps=6.25e-10)

    @property
    def parameters(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.encoder, self.encoder_bias, self.decoder, self.bias

    def learn(self, inputs: torch.Tensor, *, rate: float) -> None:
        """One step on states [b, d], in pieces whose gathered rows of the encoder fit into memory."""
        variance = inputs.square().mean()
        dead = torch.nonzero(self.unused_for > self.patience)[:, 0]
        used = torch.zeros_like(self.unused_for, dtype=torch.bool)
        unexplained = 0.0
        for piece in inputs.split(max(1, _GATHERED_VALUES // (self.k * inputs.shape[1]))):
            share = len(piece) / len(inputs)
            error, active = self._reconstruct(piece)
            loss = error.square().mean() / variance
            unexplained += share * float(loss.detach())
            if len(dead):
                loss = loss + _AUXILIARY_WEIGHT * self._auxiliary(piece, dead, error.detach())
            (share * loss).backward()
            used[active] = True
        self._step(rate)
        self.explained = 1 - unexplained
        self.unused_for = torch.where(used, torch.zeros_like(self.unused_for), self.unused_for + 1)

    def _reconstruct(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is missed [b, d], and the latents that were active.

        Which latents are largest is found without gradients; only these few get any, so that only their
        rows of encoder and decoder are multiplied again.
        """
        with torch.no_grad():
            values = torch.nn.functional.linear(inputs - self.bias, self.encoder, self.encoder_bias)
            chosen = values.topk(self.k, dim=1).indices
        rows = torch.nn.functional.embedding(chosen, self.encoder)
        kept = torch.relu((rows * (inputs - self.bias)[:, None]).sum(dim=2) + self.encoder_bias[chosen])
        made = (torch.nn.functional.embedding(chosen, self.decoder) * kept[:, :, None]).sum(dim=1)
        return inputs - made - self.bias, chosen[kept.detach() > 0]

    def _auxiliary(self, inputs: torch.Tensor, dead: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
        """How badly the largest dead latents explain the error [b, d] that is left, as a share of it."""
        values = torch.relu(torch.nn.functional.linear(inputs - self.bias, self.encoder[dead], self.encoder_bias[dead]))
        revived = keep_largest(values, self.num_auxiliary) @ self.decoder[dead]
        return (error - revived).square().mean() / error.square().mean().clamp_min(1e-12)

    @torch.no_grad()
    def _step(self, rate: float) -> None:
        """The decoder's rows keep unit length: their gradient is taken along the sphere."""
        gradient = self.decoder.grad
        assert gradient is not None
        gradient -= (gradient * self.decoder).sum(dim=1, keepdim=True) * self.decoder
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.decoder /= self.decoder.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _spread(states: States) -> tuple[torch.Tensor, float]:
    """Mean [d], and the root of the mean variance of a dimension, in double precision over blocks."""
    total, squares, block = np.zeros(states.shape[1]), 0.0, 65536
    for start in range(0, len(states), block):
        total += states[start : start + block].sum(axis=0, dtype=np.float64)
    mean = total / len(states)
    for start in range(0, len(states), block):
        squares += float(((states[start : start + block] - mean) ** 2).sum())
    scale = (squares / states.size) ** 0.5
    return torch.from_numpy(mean.astype(np.float32)), max(scale, 1e-12)


def _batches(states: States, schedule: Schedule, seed: int) -> Iterator[States]:
    """Batches without repetition within an epoch; the last ones of an epoch may be smaller."""
    draw, given = np.random.default_rng(seed), 0
    while True:
        order = draw.permutation(len(states))
        for start in range(0, len(order), schedule.batch_size):
            if given == schedule.num_steps:
                return
            given += 1
            yield np.asarray(states[np.sort(order[start : start + schedule.batch_size])])
