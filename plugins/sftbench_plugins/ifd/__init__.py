"""IFD, perplexity and entropy: how hard a response is for a language model, with and without its prompt."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, hookimpl
from sftbench_plugins.ifd.entropy import Entropy
from sftbench_plugins.ifd.ppl import Ppl
from sftbench_plugins.ifd.scorer import Ifd


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """IFD in its two published forms, perplexity, and what is called entropy."""
    return [Entropy, Ifd, Ppl]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The highest scores; IFD without the rows whose prompt does not help."""
    return [
        Method(
            name="ifd",
            summary="responses that the prompt makes least easier, by a small language model's perplexities",
            scorer=PartUse(name="ifd", parameters={"cut": 1.0}),
            selector=PartUse(name="top"),
            paper="Superfiltering (arXiv 2402.00530); variant=cherry: From Quantity to Quality (arXiv 2308.12032)",
            fidelity={"official": "exact", "paper": "reconstruction"},
            deviations=(
                "the size is the run's budget; the authors' script takes a share of 52,002 whatever the pool",
                "several turns: the last response given all turns before it; the authors score the first turn alone",
                "variant=cherry uses the scoring model as it is, without the short training of the first release",
                "mode=paper averages both losses over the same response tokens",
            ),
        ),
        Method(
            name="ppl",
            summary="responses of the highest perplexity given their prompt; direction=low or middle turn it round",
            scorer=PartUse(name="ppl"),
            selector=PartUse(name="top"),
        ),
        Method(
            name="entropy",
            summary="responses of the highest cross-entropy; variant=pred_entropy: where the model expects many things",
            scorer=PartUse(name="entropy"),
            selector=PartUse(name="top"),
            paper="baseline of Rethinking Data Selection at Scale (arXiv 2410.09335)",
            fidelity={"official": "exact", "paper": "own definition"},
            deviations=(
                "variant=ce_unshifted is mode official: the published code, which does not shift targets by one",
                "variant=ce_unshifted: a prompt that leaves no room has no score; the published code gives it 0",
                "several turns: the last response given all turns before it, as in the published code",
            ),
        ),
    ]
