"""The steps by which a TopK autoencoder learns, where its latents start, and how dead ones come back.

Latents start at states: with random directions most of a short training goes into turning them. A dead one is
moved to a badly explained state, as in Bricken et al. 2023 (Towards Monosemanticity, neuron resampling).
"""

from __future__ import annotations

import torch
from torch.nn.functional import embedding, linear, normalize

_VALUES_AT_ONCE = 2**26
_NOISE = 0.1
_STATES_FOR_SCALE = 1024


class Learner:
    """Parameters in training, for states with mean 0 and a mean variance of 1 per dimension."""

    def __init__(self, decoder: torch.Tensor, k: int) -> None:
        """Start with the decoder's unit rows [M, d], and with these as the encoder too."""
        num_latents, width = decoder.shape
        self.k = k
        self.encoder = decoder.clone().requires_grad_()
        self.encoder_bias = decoder.new_zeros(num_latents).requires_grad_()
        self.decoder = decoder.clone().requires_grad_()
        self.bias = decoder.new_zeros(width).requires_grad_()
        self.unused_for = torch.zeros(num_latents, device=decoder.device)
        self.optimizer = torch.optim.Adam(self.parameters, lr=1.0, eps=6.25e-10)

    @classmethod
    @torch.no_grad()
    def starting(cls, states: torch.Tensor, num_latents: int, k: int, *, generator: torch.Generator) -> Learner:
        """Start with directions of states [m, d], and an encoder as strong as suits them.

        The strength is the factor by which the k largest latents together come closest to the states
        (least squares): k directions that are alike overshoot without it.
        """
        made = cls(drawn_directions(states, num_latents, generator=generator), k)
        some = states[:_STATES_FOR_SCALE]
        answer = some - made.reconstruct(some)[0]
        made.encoder *= (some * answer).sum() / answer.square().sum().clamp_min(1e-12)
        return made

    @property
    def parameters(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.encoder, self.encoder_bias, self.decoder, self.bias

    def learn(self, inputs: torch.Tensor, *, rate: float) -> torch.Tensor:
        """One step on states [b, d], in pieces that fit into memory; the squared error [b] of each before it."""
        num_latents, width = self.decoder.shape
        variance = inputs.square().mean().clamp_min(1e-12)
        used = torch.zeros_like(self.unused_for, dtype=torch.bool)
        missed = []
        for piece in inputs.split(max(1, _VALUES_AT_ONCE // max(self.k * width, num_latents))):
            error, active = self.reconstruct(piece)
            loss = error.square().mean() / variance
            (len(piece) / len(inputs) * loss).backward()
            missed.append(error.detach().square().sum(dim=1))
            used[active] = True
        self._step(rate)
        self.unused_for = torch.where(used, torch.zeros_like(self.unused_for), self.unused_for + 1)
        return torch.cat(missed)

    def reconstruct(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is missed [b, d], and the latents that were active.

        Which latents are largest is found without gradients; only these few get any, so that only their
        rows of encoder and decoder are multiplied again.
        """
        with torch.no_grad():
            values = linear(inputs - self.bias, self.encoder, self.encoder_bias)
            chosen = values.topk(self.k, dim=1, sorted=False).indices
        rows = embedding(chosen, self.encoder)
        kept = torch.relu((rows * (inputs - self.bias)[:, None]).sum(dim=2) + self.encoder_bias[chosen])
        made = (embedding(chosen, self.decoder) * kept[:, :, None]).sum(dim=1)
        return inputs - made - self.bias, chosen[kept.detach() > 0]

    @torch.no_grad()
    def move_dead(
        self, inputs: torch.Tensor, missed: torch.Tensor, *, unused_for: int, generator: torch.Generator
    ) -> int:
        """Point latents unused for so many steps to states [b, d], drawn by their squared error [b]; how many.

        The whole state and not its error: what explains the small rest alone is never among the k
        largest. A moved latent reads as strongly as used ones do in the mean.
        """
        dead = torch.nonzero(self.unused_for >= unused_for)[:, 0]
        used, weights = self.unused_for == 0, missed.clamp_min(1e-12).cpu()
        if not len(dead) or not used.any() or not torch.isfinite(weights).all():
            return 0
        drawn = torch.multinomial(weights, len(dead), replacement=len(dead) > len(weights), generator=generator)
        directions = normalize(inputs[drawn.to(inputs.device)] - self.bias, dim=1)
        self.decoder[dead] = directions
        self.encoder[dead] = directions * self.encoder[used].norm(dim=1).mean()
        self.encoder_bias[dead] = self.encoder_bias[used].mean()
        for parameter in (self.encoder, self.encoder_bias, self.decoder):
            for name in ("exp_avg", "exp_avg_sq"):
                self.optimizer.state[parameter][name][dead] = 0
        self.unused_for[dead] = 0
        return len(dead)

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


def drawn_directions(states: torch.Tensor, num_latents: int, *, generator: torch.Generator) -> torch.Tensor:
    """Unit directions [M, d] of states [m, d] with mean 0 and variance 1, every state once before any comes twice.

    A little noise keeps latents apart that were drawn from equal states.
    """
    rounds = -(-num_latents // len(states))
    drawn = torch.cat([torch.randperm(len(states), generator=generator) for _ in range(rounds)])[:num_latents]
    noise = _NOISE * torch.randn((num_latents, states.shape[1]), generator=generator)
    return normalize(states[drawn.to(states.device)] + noise.to(states.device), dim=1)
