"""The Muon optimizer in float32: `torch.optim.Muon` works in bfloat16, which a CPU does slowly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import torch

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz step, from Jordan et al. 2024."""


def orthogonalised(stack: torch.Tensor, *, num_steps: int = 5) -> torch.Tensor:
    """Each `[rows, columns]` matrix of a `[n, rows, columns]` stack with singular values near one."""
    a, b, c = _COEFFICIENTS
    tall = stack.shape[1] > stack.shape[2]
    x: torch.Tensor = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(num_steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per matrix; matrices of one shape go through together."""

    def __init__(self, weights: Iterable[torch.Tensor], *, lr: float, momentum: float = 0.95):
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix; a closure is not supported."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for weight in group["params"]:
                by_shape[weight.shape].append(weight)
            for shape, weights in by_shape.items():
                updates = orthogonalised(torch.stack([self._nesterov(w, group) for w in weights]))
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for weight, update in zip(weights, updates, strict=True):
                    weight.add_(update, alpha=-scale)

    def _nesterov(self, weight: torch.Tensor, group: dict[str, float]) -> torch.Tensor:
        assert weight.grad is not None
        state = self.state[weight]
        average = state.setdefault("average", torch.zeros_like(weight))
        average.lerp_(weight.grad, 1 - group["momentum"])
        return weight.grad.lerp(average, group["momentum"])
