"""Where a training goes on: trained weights, optimiser state and what was seen so far in one safetensors file.

Nothing else is needed: order and learning rate are functions of the step, and random numbers are seeded
anew at every step. A rename makes the file appear whole; its metadata says which training it belongs to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

_WEIGHT, _SEEN = "weight", "seen"


def save(
    path: Path, *, identity: str, model: nn.Module, optimizer: Optimizer | None, seen: Mapping[str, Tensor]
) -> None:
    """Write the state of a training; replaces an earlier file in one move. Without an optimiser, one begins anew."""
    tensors = {f"{_SEEN} {name}": tensor.cpu().contiguous() for name, tensor in seen.items()}
    for name, parameter in _trained(model).items():
        tensors[f"{_WEIGHT} {name}"] = parameter.detach().cpu().contiguous()
        for key, value in (optimizer.state[parameter] if optimizer else {}).items():
            tensors[f"{key} {name}"] = value.detach().cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"identity": identity})
    os.replace(partial, path)


def restore(
    path: Path, *, identity: str | None, model: nn.Module, optimizer: Optimizer | None = None
) -> dict[str, Tensor] | None:
    """Put weights and optimiser back and return what was seen; None when there is nothing of this training.

    Without an optimiser its state is left where it is.
    """
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as stored:
        if (stored.metadata() or {}).get("identity") != identity:
            return None
        trained = _trained(model)
        seen: dict[str, Tensor] = {}
        state: dict[Tensor, dict[str, Tensor]] = {}
        for key in stored.keys():  # noqa: SIM118 -- no mapping
            kind, _, name = key.partition(" ")
            if kind == _SEEN:
                seen[name] = stored.get_tensor(key)
            elif kind == _WEIGHT:
                trained[name].data.copy_(stored.get_tensor(key))
            elif optimizer is not None:
                state.setdefault(trained[name], {})[kind] = stored.get_tensor(key).to(trained[name].device)
        if optimizer is not None:
            optimizer.state.update(state)
    return seen


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
