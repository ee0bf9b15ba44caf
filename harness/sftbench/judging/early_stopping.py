"""Arena-Hard's own fit: fifty steps of LBFGS in single precision, which stop before the optimum."""

from __future__ import annotations

import numpy as np

from sftbench.judging.resampling import Floats, Ints

_START = 0.5
_STEPS = 50
_TOLERANCE = 1e-9
_LEARNING_RATE = 0.1


def fit_early_stopped(design: Floats, outcomes: Floats, draws: Ints) -> Floats:
    """Coefficients [B, k] for rows `draws` [B, N] of `design` [N, k] and `outcomes` [N]."""
    # torch takes seconds to import, and only this mode of this metric needs it.
    import torch

    features = torch.tensor(design, dtype=torch.float32)
    won = torch.tensor(outcomes, dtype=torch.float32)

    def fitted(rows: torch.Tensor) -> torch.Tensor:
        mine, target = features[rows], won[rows]
        beta = torch.full((features.shape[1],), _START, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [beta], lr=_LEARNING_RATE, max_iter=_STEPS, tolerance_grad=_TOLERANCE, tolerance_change=_TOLERANCE
        )

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = torch.nn.functional.binary_cross_entropy_with_logits(mine @ beta, target, reduction="sum")
            value.backward()
            return value

        optimizer.step(loss)
        return beta.detach()

    found = torch.stack([fitted(torch.from_numpy(rows)) for rows in draws])
    return np.asarray(found.numpy(), dtype=np.float64)
