"""LEAD: rows are chosen while the model trains, by a bandit over difficulty and utilities from the losses seen."""

from __future__ import annotations

from sftbench import Method, PartUse, Trainer, hookimpl
from sftbench_plugins.lead.trainer import Lead


@hookimpl
def sftbench_trainers() -> list[type[Trainer]]:
    """The trainer that chooses."""
    return [Lead]


@hookimpl
def sftbench_methods() -> list[Method]:
    """All rows are candidates; what is trained on keeps within the budget."""
    return [
        Method(
            name="lead",
            summary="rows chosen while training: a bandit over difficulty, utilities from the losses seen (re-derived)",
            selector=PartUse(name="all"),
            trainer=PartUse(name="lead"),
            paper="arXiv 2505.07437",
            fidelity={"paper": "reconstruction"},
            deviations=(
                "derived anew from the paper: the released online script cannot be run and does not implement it",
                "training starts from the base model, without the paper's warm-up, as for every method",
                "cross-entropy is shifted and from two passes; the released code compares each token with itself",
                "the angle between two steps is a parameter, for losses do not tell it; the released code makes it 1",
                "a round takes at least a batch and a twentieth of the budget, so that small pools are trained on",
            ),
        )
    ]
