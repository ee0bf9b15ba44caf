"""Vectors where they are worked on: an accelerator if this process sees one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


def on_device(vectors: npt.NDArray[np.float32]) -> torch.Tensor:
    """The array [n, d] as a tensor; on a CPU it is not copied."""
    contiguous = np.require(vectors, dtype=np.float32, requirements=["C", "W"])
    return torch.from_numpy(contiguous).to("cuda" if torch.cuda.is_available() else "cpu")
