"""Diversity by features of a sparse autoencoder: greedy cover, and rows unlike those chosen."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.sae.scorer import SaeFeatures
from sftbench_plugins.sae.selectors import SaeGreedy, SaeSimscale

_DEVIATIONS = (
    "no code is public and not all settings are known: token span, threshold, reset, rho and order are parameters",
    "the autoencoder is trained on the pool unless a folder is named with sae=; the authors' one is not released",
    "training is short, starts at states and moves dead latents; the paper's is long, with an auxiliary loss for them",
    "the threshold is where a token has k active features in the mean; 10 holds for the authors' activations alone",
)


def _method(name: str, summary: str) -> Method:
    return Method(
        name=name,
        summary=summary,
        scorer=PartUse(name="sae-features"),
        selector=PartUse(name=name),
        paper="arXiv 2502.14050",
        fidelity={"paper": "reconstruction"},
        deviations=_DEVIATIONS,
    )


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """Features of rows."""
    return [SaeFeatures]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """Greedy cover, and rows unlike those chosen."""
    return [SaeGreedy, SaeSimscale]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Both share the features."""
    return [
        _method("sae-greedy", "rows that add most features of a sparse autoencoder to those of the rows chosen before"),
        _method("sae-simscale", "rows most of whose features are not yet among those of the rows chosen before"),
    ]
