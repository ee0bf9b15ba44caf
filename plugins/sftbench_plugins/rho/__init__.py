"""RHO-1: train on the tokens whose loss exceeds that of a reference the most, looked at anew at every step."""

from __future__ import annotations

from sftbench import Method, PartUse, Trainer, hookimpl
from sftbench_plugins.rho.trainer import Rho


@hookimpl
def sftbench_trainers() -> list[type[Trainer]]:
    """Selective language modelling."""
    return [Rho]


@hookimpl
def sftbench_methods() -> list[Method]:
    """On rows drawn by chance."""
    return [
        Method(
            name="rho",
            summary="random rows, of which the tokens are trained that lose most over a reference at that moment",
            selector=PartUse(name="random"),
            trainer=PartUse(name="rho"),
            paper="arXiv 2404.07965",
            fidelity={"paper": "reconstruction", "official": "exact"},
            deviations=(
                "the paper continues pretraining; here it is fine-tuning, on response tokens only",
                "the authors released no training code: mode=official is the baseline of arXiv 2502.01968, variant=sft",
                "ranked in the global batch and not on each device, by losses from a forward pass without dropout",
                "the reference is the base after fine-tuning on a random slice of the pool, as the run trains",
            ),
        )
    ]
