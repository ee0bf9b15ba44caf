"""How ambiguous the next token is, from the logits: evidence-based answer uncertainty and its relatives.

The closed form is the mean entropy of a categorical drawn from a Dirichlet with parameters a (Eq. 4):
AU = psi(a0 + 1) - sum_k (a_k / a0) psi(a_k + 1), a0 = sum_k a_k. Logits come as float32; sums are float64,
because over a large vocabulary the signal is as small as the rounding of half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from sftbench import Statistic
    from sftbench_plugins.tokentune.labels import Ambiguity

AMBIGUITY = "ambiguity"
"""The name of the statistic: float [c, 2], answer uncertainty in nats and evidence."""

_CHUNK = 1 << 22
"""Numbers that are held in float64 at once (32 MiB)."""


def float64_parts(logits: torch.Tensor) -> Iterator[torch.Tensor]:
    """The logits [c, V] a few positions at a time, in float64."""
    rows = max(1, _CHUNK // logits.shape[-1])
    return (logits[start : start + rows].double() for start in range(0, len(logits), rows))


def dirichlet_entropy(concentration: torch.Tensor) -> torch.Tensor:
    """Mean entropy in nats under Dir(a), a float64 [..., K] of non-negative numbers; the limit 0 where all are 0."""
    total = concentration.sum(-1)
    share = concentration / total.clamp_min(torch.finfo(concentration.dtype).tiny).unsqueeze(-1)
    inside = torch.special.digamma(concentration + 1)
    return torch.where(total == 0, 0.0, torch.special.digamma(total + 1) - (share * inside).sum(-1))


@dataclass(frozen=True, kw_only=True)
class DirichletAmbiguity:
    """Answer uncertainty from the logits taken as evidence, in one of three readings.

    `eq4_full`: a = relu(z) + 1 over the whole vocabulary, as printed; nearly constant for large ones,
    so of use as a rank only. `topk_relu`: a = relu(z) over the `top` largest logits. `softmax_evidence`:
    a = S p with S = max(0, max z - mean z) and p the softmax: unmoved by a shift of the logits, 0 for a
    certain prediction. The second column is the evidence a0, for `softmax_evidence` S.
    """

    reading: Literal["softmax_evidence", "eq4_full", "topk_relu"]
    top: int = 25
    name: str = AMBIGUITY

    def reduce(self, logits: torch.Tensor, log_normaliser: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """`logits` [c, V]; returns float64 [c, 2]."""
        return torch.cat([self._pair(part) for part in float64_parts(logits)])

    def _pair(self, logits: torch.Tensor) -> torch.Tensor:
        concentration = self._concentration(logits)
        return torch.stack([dirichlet_entropy(concentration), concentration.sum(-1)], dim=-1)

    def _concentration(self, logits: torch.Tensor) -> torch.Tensor:
        if self.reading == "eq4_full":
            return logits.relu() + 1
        if self.reading == "topk_relu":
            return logits.topk(min(self.top, logits.shape[-1]), dim=-1).values.relu()
        evidence = (logits.amax(-1) - logits.mean(-1)).clamp_min(0)
        return evidence.unsqueeze(-1) * torch.softmax(logits, dim=-1)


@dataclass(frozen=True, kw_only=True)
class EntropyAmbiguity:
    """The entropy of the softmax in nats, with an evidence of 1 throughout (the paper's Table 7 ablation)."""

    name: str = AMBIGUITY

    def reduce(self, logits: torch.Tensor, log_normaliser: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """`logits` [c, V]; returns float64 [c, 2]."""
        shares = (torch.softmax(part, dim=-1) for part in float64_parts(logits))
        entropy = torch.cat([torch.special.entr(share).sum(-1) for share in shares])
        return torch.stack([entropy, torch.ones_like(entropy)], dim=-1)


def statistic_for(ambiguity: Ambiguity) -> Statistic | None:
    """What a forward pass has to compute for this kind of ambiguity; None for `complement`, which asks nothing."""
    if ambiguity == "complement":
        return None
    return EntropyAmbiguity() if ambiguity == "entropy" else DirichletAmbiguity(reading=ambiguity)
