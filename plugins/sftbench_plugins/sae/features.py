"""Which features of an autoencoder are active in a row."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from sftbench_plugins.sae.autoencoder import Autoencoder

Aggregate = Literal["max", "mean"]
_VALUES_AT_ONCE = 2**25
States = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How a row's activations come from those of its tokens: the largest or the mean of each latent."""

    autoencoder: Autoencoder
    device: torch.device
    aggregate: Aggregate
    top_k: bool

    @torch.inference_mode()
    def of(self, states: States) -> torch.Tensor:
        """Activations [M] of a row with states [m, d]; 0 where there is no token."""
        found = torch.zeros(self.autoencoder.num_latents, device=self.device)
        block = max(1, _VALUES_AT_ONCE // self.autoencoder.num_latents)
        for start in range(0, len(states), block):
            here = torch.from_numpy(states[start : start + block]).to(self.device)
            values = self.autoencoder.activations(here, top_k=self.top_k)
            found = found + values.sum(dim=0) if self.aggregate == "mean" else found.maximum(values.amax(dim=0))
        return found / max(1, len(states)) if self.aggregate == "mean" else found

    def active(self, states: States, threshold: float) -> npt.NDArray[np.int32]:
        """The latents above the threshold, ascending."""
        above = torch.nonzero(self.of(states) > threshold)[:, 0]
        return above.cpu().numpy().astype(np.int32)

    def quantile(self, states: States, share: float) -> float:
        """The activation that this share of all activations (token by latent) does not exceed, at least 0.

        Of more states than fit into memory at once some are looked at, evenly spread over all.
        """
        if not len(states):
            return 0.0
        most = max(1, _VALUES_AT_ONCE // self.autoencoder.num_latents)
        spread = np.linspace(0, len(states), min(most, len(states)), endpoint=False, dtype=np.int64)
        here = torch.from_numpy(np.array(states[spread])).to(self.device)
        values = self.autoencoder.pre_activations(here).flatten()
        return max(0.0, float(values.kthvalue(max(1, math.ceil(share * len(values)))).values))

    def threshold_for(self, rows: Iterable[States], mean_active: float) -> float:
        """The lowest threshold at which these rows have at most `mean_active` features in the mean."""
        values = torch.stack([self.of(states) for states in rows if np.isfinite(states).all()]).flatten()
        rank = int(mean_active * len(values) / self.autoencoder.num_latents)
        if rank >= len(values):
            return 0.0
        return max(0.0, float(values.kthvalue(len(values) - rank).values))
