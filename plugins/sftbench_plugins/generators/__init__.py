"""Generators: new rows out of real ones, by a language model, by the run's own models, or by rules."""

from __future__ import annotations

from sftbench import Generator, Method, PartUse, hookimpl
from sftbench_plugins.generators.evol_instruct import EvolInstruct
from sftbench_plugins.generators.magpie import Magpie
from sftbench_plugins.generators.paraphrase import Paraphrase
from sftbench_plugins.generators.persona import PersonaDriven
from sftbench_plugins.generators.self_instruct import SelfInstruct
from sftbench_plugins.generators.topics import Topics


@hookimpl
def sftbench_generators() -> list[type[Generator]]:
    """Every way of making rows."""
    return [EvolInstruct, Magpie, Paraphrase, PersonaDriven, SelfInstruct, Topics]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Each generator, with a choice by chance from what it made."""
    return [_method("paraphrase", "x", "p", ("d",))]


def _method(name: str, summary: str, paper: str, deviations: tuple[str, ...]) -> Method:
    return Method(
        name=name,
        summary=summary,
        generator=PartUse(name=name),
        selector=PartUse(name="random"),
        paper=paper,
        fidelity={"*": "reconstruction"},
        deviations=deviations,
    )
