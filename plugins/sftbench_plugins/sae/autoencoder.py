"""A sparse autoencoder of hidden states: reading one from a folder, encoding, and where its threshold lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sftbench import UsageError

_VALUES_AT_ONCE = 2**24


@dataclass(frozen=True, kw_only=True)
class Autoencoder:
    """z = W_enc (h - b_pre) + b_enc of a state h [d]; h is about relu(z's `k` largest) W_dec + b_pre.

    `encoder` [M, d], `encoder_bias` [M], `decoder` [M, d] with unit rows, `bias` [d], all float32.
    """

    encoder: torch.Tensor
    encoder_bias: torch.Tensor
    decoder: torch.Tensor
    bias: torch.Tensor
    k: int

    @property
    def num_latents(self) -> int:
        return int(self.encoder.shape[0])

    @property
    def width(self) -> int:
        return int(self.encoder.shape[1])

    @classmethod
    def read(cls, folder: Path, *, width: int, device: torch.device) -> Autoencoder:
        """As EleutherAI's sparsify keeps a TopK autoencoder: `sae.safetensors` and `cfg.json`.

        Raises `UsageError` for a folder with anything else, and for one of another width.
        """
        from safetensors.torch import load_file

        names = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")
        try:
            settings = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "sae.safetensors", device=str(device))
            encoder, encoder_bias, decoder, bias = (tensors[name].float() for name in names)
            made = cls(encoder=encoder, encoder_bias=encoder_bias, decoder=decoder, bias=bias, k=int(settings["k"]))
        except (OSError, ValueError, KeyError) as problem:
            raise UsageError(
                f"sae: {folder} holds no TopK autoencoder ({type(problem).__name__}: {problem}); sae.safetensors with "
                f"{', '.join(names)} and cfg.json with k are expected"
            ) from problem
        if settings.get("transcode"):
            raise UsageError(f"sae: {folder} holds a transcoder, which predicts other states than it reads")
        if made.width != width:
            raise UsageError(f"sae: {folder} reads states of width {made.width}, and those of the model have {width}")
        return made

    def save(self, folder: Path) -> None:
        """In the form that `read` takes."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            "encoder.weight": self.encoder,
            "encoder.bias": self.encoder_bias,
            "W_dec": self.decoder,
            "b_dec": self.bias,
        }
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, folder / "sae.safetensors")
        settings = {"k": self.k, "num_latents": self.num_latents, "d_in": self.width, "activation": "topk"}
        (folder / "cfg.json").write_text(json.dumps(settings), encoding="utf-8")

    def pre_activations(self, states: torch.Tensor) -> torch.Tensor:
        """z [m, M] of states [m, d]."""
        return torch.nn.functional.linear(states - self.bias, self.encoder, self.encoder_bias)

    def activations(self, states: torch.Tensor, *, top_k: bool) -> torch.Tensor:
        """relu(z) [m, M]; with `top_k` only the k largest of every state."""
        values = torch.relu(self.pre_activations(states))
        return keep_largest(values, self.k) if top_k else values

    @torch.inference_mode()
    def explained(self, states: npt.NDArray[np.float32], *, around: torch.Tensor) -> float:
        """Share of the squared distance of states [m, d] to a point [d] that the k largest of each explain."""
        missed, whole, device = 0.0, 0.0, self.encoder.device
        block = max(1, _VALUES_AT_ONCE // self.num_latents)
        for start in range(0, len(states), block):
            here = torch.from_numpy(np.array(states[start : start + block])).to(device)
            answer = self.activations(here, top_k=True) @ self.decoder + self.bias
            missed += float((here - answer).square().sum())
            whole += float((here - around.to(device)).square().sum())
        return 1 - missed / max(whole, 1e-12)


def keep_largest(values: torch.Tensor, k: int) -> torch.Tensor:
    """Values [m, M] with all but the k largest of every row 0."""
    kept = values.topk(min(k, values.shape[1]), dim=1)
    return torch.zeros_like(values).scatter(1, kept.indices, kept.values)
