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


_STAND_IN = "without --chat a stand-in makes the rows, which record and board name"
_GRID = "the values of the seven levels are ours: the paper's are not public"


@hookimpl
def sftbench_methods() -> list[Method]:
    """Each generator, with a choice by chance from what it made."""
    study = "What Matters in LLM-generated Data (arXiv 2506.19262)"
    released = "mode=official follows the released rules; what a model writes depends on the model"
    return [
        _method("paraphrase", "new rows, a share of them paraphrases of others", study, (_GRID,)),
        _method("topics", "new rows, equally many about each topic of a list", study, (_GRID,)),
        _method("persona", "what different people would ask, and answers", "Persona Hub (arXiv 2406.20094)", (_GRID,)),
        _method("self-instruct", "new tasks after known ones, unlike them all", "arXiv 2212.10560", (released,)),
        _method(
            "evol-instruct", "real instructions rewritten to be harder", "WizardLM (arXiv 2304.12244)", (released,)
        ),
        _method(
            "magpie", "what a model writes by itself after its template's beginning", "arXiv 2406.08464", (released,)
        ),
    ]


def _method(name: str, summary: str, paper: str, deviations: tuple[str, ...]) -> Method:
    return Method(
        name=name,
        summary=summary,
        generator=PartUse(name=name),
        selector=PartUse(name="random"),
        paper=paper,
        fidelity={"*": "reconstruction"},
        deviations=(*deviations, _STAND_IN),
    )
