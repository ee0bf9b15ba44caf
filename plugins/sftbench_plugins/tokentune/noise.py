"""Uniform noise on input embeddings, the same for a row whenever it is asked about (ablation LDP)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, kw_only=True)
class EmbeddingNoise:
    """Uniform in -1..1 times alpha / sqrt(tokens x width), as NEFTune scales it; one copy per passage.

    `rows` are the pool positions of the passages, in their order: each row has a stream of its own.
    """

    seed: int
    alpha: float
    rows: tuple[int, ...]
    num_copies: int = 1

    def draw(self, index: int, num_tokens: int, width: int) -> torch.Tensor:
        """float32 [1, num_tokens, width]."""
        stream = np.random.default_rng([self.seed, self.rows[index]])
        noise = stream.uniform(-1, 1, (1, num_tokens, width)) * self.alpha / np.sqrt(num_tokens * width)
        return torch.from_numpy(noise.astype(np.float32))
