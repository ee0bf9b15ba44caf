"""T-SHIRT: selective IFD on noisy copies, then the steadiest of the best rows (arXiv 2506.01317)."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.tshirt.racing import Racing
from sftbench_plugins.tshirt.scorer import TShirt
from sftbench_plugins.tshirt.selector import Hierarchical


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """The scorer `tshirt`."""
    return [TShirt]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """The selectors `tshirt`, which reads scores, and `tshirt-race`, which draws copies itself."""
    return [Hierarchical, Racing]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The method `tshirt`."""
    return [
        Method(
            name="tshirt",
            summary="informative tokens only, scored on noisy copies; then the rows whose score is steady",
            scorer=PartUse(name="tshirt"),
            selector=PartUse(name="tshirt"),
            strategies={"exact": {}, "race": {"scorer": None, "selector": PartUse(name="tshirt-race")}},
            paper="T-SHIRT: Token-Selective Hierarchical Data Selection for Instruction Tuning (arXiv 2506.01317)",
            fidelity={"official": "rank-equal", "paper": "reconstruction"},
            deviations=(
                "official: the authors' selection with dtype=float32 (golden rows); bfloat16 rounds as the device does",
                "official: rows on which the authors' code crashes are left out and draw no noise",
                "official: noise comes from torch's CPU generator, also on a GPU",
                "paper: IFD takes both means over the same tokens; copies without an informative token have no S-IFD",
            ),
        )
    ]
