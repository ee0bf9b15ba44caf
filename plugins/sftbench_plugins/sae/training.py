"""Training a TopK autoencoder on hidden states: how long and how fast, on what, and how good it became.

Loss, centred inputs and unit decoder rows follow Gao et al. 2024 (arXiv 2406.04093). Latents start at states
and those that die move to badly explained ones (see `learning`), which is what makes short trainings work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.sae.autoencoder import Autoencoder
from sftbench_plugins.sae.learning import Learner

_WARM_UP, _COOL_DOWN = 0.05, 0.2
_PERIOD, _LAST_MOVE = 0.1, 0.7
"""Shares of the training: a latent unused for the first is dead, and after the second none is moved any more."""
_RATE_AT_16K = 6e-4
"""Learning rate for 2^14 latents; it goes down with the square root of their number (arXiv 2406.04093, section 2)."""

_HELD_OUT_SHARE, _MOST_JUDGED = 1 / 16, 8192
_MOST_DRAWN_VALUES = 2**28

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

    @property
    def period(self) -> int:
        """Steps between two looks for dead latents: a latent that was not used in all of them is dead."""
        return max(1, round(_PERIOD * self.num_steps))

    def moves_after(self, step: int) -> bool:
        """Whether dead latents are moved after a step, counted from 0."""
        return (step + 1) % self.period == 0 and step + 1 <= _LAST_MOVE * self.num_steps


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The autoencoder, and what came of its training.

    Explained variance is that of states trained on, and of states of rows that were held out (none with
    fewer than 16 states). `dead_share`: latents not used in the last tenth of the steps. `num_moved`: moves
    of dead latents. `num_inputs`: states learnt from, counted as often as they came; `epochs`:
    how often each came.
    """

    autoencoder: Autoencoder
    explained_variance: float
    explained_held_out: float | None
    dead_share: float
    num_moved: int
    num_inputs: int
    epochs: float


def train(
    states: States, schedule: Schedule, *, seed: int, device: torch.device, advance: Callable[[int], None]
) -> Trained:
    """Train on states [m, d] in an order without structure between rows; the result is in their units.

    The last sixteenth of the states (at most 8,192) is held out.
    """
    generator = torch.Generator().manual_seed(seed)
    num_held_out = min(_MOST_JUDGED, int(_HELD_OUT_SHARE * len(states)))
    seen, held_out = states[: len(states) - num_held_out], states[len(states) - num_held_out :]
    mean, scale = _spread(seen)

    def centred(some: States) -> torch.Tensor:
        return (torch.from_numpy(some).to(device) - mean.to(device)) / scale

    learner = Learner.starting(
        centred(_some(seen, schedule.num_latents, seed)), schedule.num_latents, schedule.k, generator=generator
    )
    num_moved, num_inputs = 0, 0
    for step, batch in enumerate(_batches(seen, schedule, seed)):
        inputs = centred(batch)
        missed = learner.learn(inputs, rate=schedule.rate(step))
        if schedule.moves_after(step):
            num_moved += learner.move_dead(inputs, missed, unused_for=schedule.period, generator=generator)
        num_inputs += len(batch)
        advance(1)
    encoder, encoder_bias, decoder, bias = (each.detach() for each in learner.parameters)
    autoencoder = Autoencoder(
        encoder=encoder,
        encoder_bias=encoder_bias * scale,
        decoder=decoder,
        bias=mean.to(device) + scale * bias,
        k=schedule.k,
    )
    return Trained(
        autoencoder=autoencoder,
        explained_variance=autoencoder.explained(seen[:_MOST_JUDGED], around=mean),
        explained_held_out=autoencoder.explained(held_out, around=mean) if num_held_out else None,
        dead_share=float((learner.unused_for >= schedule.period).float().mean()),
        num_moved=num_moved,
        num_inputs=num_inputs,
        epochs=num_inputs / len(seen),
    )


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


def _some(states: States, number: int, seed: int) -> States:
    """So many of the states, by lot; all where there are fewer, and no more than fit into memory."""
    drawn = np.random.default_rng(seed).permutation(len(states))[: min(number, _MOST_DRAWN_VALUES // states.shape[1])]
    return np.asarray(states[np.sort(drawn)])


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
