"""TokenTune: rows by a utility made from their tokens, found by a bandit, trained token by token as they deserve."""

from __future__ import annotations

from sftbench import Method, PartUse, Selector, hookimpl
from sftbench_plugins.tokentune.selector import Tokentune


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """The bandit selector."""
    return [Tokentune]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The selector with the loss that its labels are meant for."""
    return [
        Method(
            name="tokentune",
            summary="token-derived utility, a bandit over clusters, and a loss gated by token labels",
            selector=PartUse(name="tokentune"),
            trainer=PartUse(name="gated"),
            paper="TokenTune: Dual-Level Utility Estimation for Scalable Data Selection in Instruction Tuning",
            fidelity={"paper": "reconstruction", "official": "exact"},
            deviations=(
                "learning gain is base minus reference everywhere; the paper flips the sign in places",
                "8 rows of every cluster are scored before the bandit starts; warm_start=0 is the paper to the letter",
                "rows are taken at the end, the best of all that were scored; take=cluster is the paper to the letter",
                "answer uncertainty takes its evidence from the softmax; au=eq4_full is the printed formula",
                "the reference is the base after fine-tuning on a random slice; the paper names none",
                "mode official never selects a row without response tokens",
            ),
        )
    ]
