"""Which token comes next: the likeliest, or one drawn by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch


class TokenChoice(Protocol):
    """From logits [B, V] float32 to a token per row; `numbers` [B] say which prompts the rows belong to."""

    def __call__(self, logits: torch.Tensor, numbers: Sequence[int], step: int) -> list[int]: ...


@dataclass(frozen=True)
class Likeliest:
    """The token with the largest logit, the first of several."""

    def __call__(self, logits: torch.Tensor, numbers: Sequence[int], step: int) -> list[int]:
        chosen: list[int] = logits.argmax(1).tolist()
        return chosen


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Tokens drawn from the softmax of logits / `temperature`, within the nucleus that holds `top_p` of it.

    Prompt number i draws with `seeds[i]` and nothing else: one uniform number per token, turned into a token by the
    cumulative distribution in the order of the vocabulary.
    """

    temperature: float
    top_p: float = 1.0
    seeds: Sequence[int]
    _streams: dict[int, np.random.Generator] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"temperature {self.temperature} and top_p {self.top_p}: expected > 0, and within (0, 1]")

    def __call__(self, logits: torch.Tensor, numbers: Sequence[int], step: int) -> list[int]:
        shares = torch.softmax(logits.double() / self.temperature, dim=1)
        if self.top_p < 1:
            shares = _nucleus(shares, self.top_p)
        cumulative = shares.cumsum(1)
        uniform = torch.tensor([[self._stream(number).random()] for number in numbers], device=shares.device)
        # Strictly above: a token without any share is never met.
        chosen = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
        found: list[int] = chosen.squeeze(1).clamp_max(shares.shape[1] - 1).tolist()
        return found

    def _stream(self, number: int) -> np.random.Generator:
        if number not in self._streams:
            self._streams[number] = np.random.default_rng(self.seeds[number])
        return self._streams[number]


def _nucleus(shares: torch.Tensor, top_p: float) -> torch.Tensor:
    """Shares [B, V] with zeros outside the smallest set of tokens that holds at least `top_p`."""
    ranked, order = shares.sort(dim=1, descending=True, stable=True)
    before = ranked.cumsum(1) - ranked
    ranked = torch.where(before < top_p, ranked, 0.0)
    return torch.zeros_like(shares).scatter(1, order, ranked)
