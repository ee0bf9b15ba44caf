"""How useful a sample is, from what two models say about its response tokens.

Everywhere a learning gain is the loss of the base minus the loss of the reference, in nats: positive
where the reference knows more (TokenTune, Eq. 2; the paper's flipped signs are read as slips).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Losses = npt.NDArray[np.float64]

LOSS_FLOOR = 1e-3
"""Nats. A base loss below it would make the density of a token meaningless."""


def num_kept(share: float, count: int) -> int:
    """How many of `count` tokens the best `share` is: rounded down, at least one where there is one."""
    return min(count, max(1, int(share * count)))


def density(gain: Losses, base: Losses) -> Losses:
    """Learning gain per nat of difficulty, [m]; at most 1 for unperturbed losses (Eq. 6)."""
    return gain / np.maximum(base, LOSS_FLOOR)


def utility(gain: Losses, base: Losses, *, share: float = 0.6, normalised: bool = True) -> float:
    """Total gain over total difficulty of the densest `share` of the tokens (Eq. 7); 0 without tokens.

    `gain` and `base` are [m], nats. With `normalised` False the gain alone (the ablation without
    the denominator).
    """
    if not len(gain):
        return 0.0
    chosen = np.argsort(-density(gain, base), kind="stable")[: num_kept(share, len(gain))]
    total = float(gain[chosen].sum())
    return total / max(float(base[chosen].sum()), LOSS_FLOOR) if normalised else total


def unpaired_utility(base: Losses, reference: Losses, *, share: float = 0.6) -> float:
    """The released code's utility: each model's own hardest tokens, compared by their means; 0 without tokens."""
    if not len(base):
        return 0.0
    kept = num_kept(share, len(base))
    hard_base = float(np.sort(base)[::-1][:kept].mean())
    hard_reference = float(np.sort(reference)[::-1][:kept].mean())
    return (hard_base - hard_reference) / hard_base if hard_base > 0 else 0.0
