"""Where a killed training goes on: trained weights, optimiser state and losses in one safetensors file.

Nothing else is needed: order and learning rate are functions of the step, and random numbers are seeded
anew at every step. A rename makes the file appear whole; its metadata says which training it belongs to.
"""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer


def save(path: Path, *, identity: str, model: nn.Module, optimizer: Optimizer, losses: Tensor) -> None:
    """Write the state after `len(losses)` steps; replaces an earlier file in one move."""
    tensors = {"losses": losses.cpu().contiguous()}
    for name, parameter in _trained(model).items():
        tensors[f"weight {name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key} {name}"] = value.detach().cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"identity": identity})
    os.replace(partial, path)


def restore(path: Path, *, identity: str, model: nn.Module, optimizer: Optimizer) -> Tensor | None:
    """Put weights and optimiser back and return the losses so far; None when there is nothing of this training."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as stored:
        if (stored.metadata() or {}).get("identity") != identity:
            return None
        trained = _trained(model)
        state: dict[Tensor, dict[str, Tensor]] = {parameter: {} for parameter in trained.values()}
        for key in set(stored.keys()) - {"losses"}:
            kind, _, name = key.partition(" ")
            tensor = stored.get_tensor(key).to(trained[name].device)
            if kind == "weight":
                trained[name].data.copy_(tensor)
            else:
                state[trained[name]][kind] = tensor
        optimizer.state.update(state)
        losses: Tensor = stored.get_tensor("losses")
    return losses


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
