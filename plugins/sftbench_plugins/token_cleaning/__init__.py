"""Token cleaning: train on those response tokens alone that a reference model predicts much better than the base."""

from __future__ import annotations

from sftbench import Method, PartUse, Selector, Trainer, hookimpl
from sftbench_plugins.token_cleaning.evolving import Evolving
from sftbench_plugins.token_cleaning.selector import TokenCleaning
from sftbench_plugins.token_cleaning.trainer import Masked

PAPER = "arXiv 2502.01968"
DEVIATIONS = (
    "the rows are drawn by chance, as `random` draws them, unless scores rank them",
    "response tokens are found by character offsets in both modes; the released code tokenises prefixes again",
    "the reference is the base after fine-tuning on a random slice of the pool, as the run trains",
)


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """Rows with labelled tokens."""
    return [TokenCleaning]


@hookimpl
def sftbench_trainers() -> list[type[Trainer]]:
    """On labelled tokens, and with labels from the model in training."""
    return [Evolving, Masked]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Cleaning by a fixed reference, and by one that evolves."""
    return [
        Method(
            name="token-cleaning",
            summary="random rows, of which the tokens are trained that a fixed reference knows better than the base",
            selector=PartUse(name="token-cleaning"),
            trainer=PartUse(name="token-cleaning"),
            paper=PAPER,
            fidelity={"paper": "reconstruction", "official": "exact"},
            deviations=DEVIATIONS,
        ),
        Method(
            name="token-cleaning-evolving",
            summary="random rows in parts; the model trained on one part says which tokens of the next are trained",
            selector=PartUse(name="random"),
            trainer=PartUse(name="token-cleaning-evolving"),
            paper=PAPER,
            fidelity={"paper": "reconstruction", "official": "reconstruction"},
            deviations=(
                *DEVIATIONS[:2],
                "weights go from part to part in float32, and a LoRA adapter is not merged in between",
            ),
        ),
    ]
