"""What a model says between two rounds of its training: losses of tokens, kept for a part that was killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from sftbench.engines.forward import LanguageModel
from sftbench.engines.passages import Passage
from sftbench.engines.statistics import Nll
from sftbench.roles import Desk
from sftbench.rooms import Ragged, TrainedModel


def losses_between(
    passages: Sequence[Passage], *, save: Callable[[Path], TrainedModel], identity: str, folder: Path, desk: Desk
) -> Ragged:
    """Losses in nats of the scored tokens of each passage, float32 [m]; NaN for one without context.

    `save` leaves the model in a folder, `identity` names it. What was asked before is in `folder`, with its cost.
    """
    name = _name(identity, passages)
    kept = folder / f"losses-{name}.safetensors"
    if kept.exists():
        with safe_open(kept, framework="np") as stored:
            desk.meter(**json.loads(stored.metadata()["cost"]))
        return Ragged(**load_file(kept))
    cost: dict[str, float] = {}

    def meter(**amounts: float) -> None:
        cost.update({each: cost.get(each, 0.0) + amount for each, amount in amounts.items()})

    saved = folder / "model"
    shutil.rmtree(saved, ignore_errors=True)
    model = save(saved)
    adapter = model.path if model.base_path else None
    language_model = LanguageModel.load(model.base_path or model.path, adapter=adapter, meter=meter)
    losses = Ragged.of([given["nll"] for given in language_model.run(passages, statistics=[Nll()])])
    shutil.rmtree(saved)
    partial = kept.with_suffix(".partial")
    save_file({"values": losses.values, "offsets": losses.offsets}, partial, metadata={"cost": json.dumps(cost)})
    os.replace(partial, kept)
    desk.meter(**cost)
    return losses


def _name(identity: str, passages: Sequence[Passage]) -> str:
    digest = hashlib.sha256(identity.encode())
    for each in passages:
        digest.update(np.int64(len(each.token_ids)).tobytes())
        digest.update(each.token_ids.tobytes())
        digest.update(each.scored.tobytes())
    return digest.hexdigest()[:16]
